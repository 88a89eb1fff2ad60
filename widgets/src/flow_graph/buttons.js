import { OWN_KEYS, h } from "../lib/dom.js";

/**
 * The buttons of the selected node in edit mode, in the free room above and below it: grow the graph
 * there, and change the activation. Elsewhere nobody would answer them.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./layout.js").Layout} Layout
 * @param {{expand: (way: "up" | "down") => void, scale: (factor: number) => void}} act
 */
export function buttons(act) {
  const up = button("▲", "Expand up: show more successors (u)", () => act.expand("up"));
  const down = button("▼", "Expand down: show more predecessors (d)", () => act.expand("down"));
  const scales = FACTORS.map(({ factor, text, words }) => ({ factor, element: button(text, words, () => act.scale(factor)) }));
  const above = h("div", { class: "flow-graph__buttons", role: "group", "aria-label": "Grow the graph upwards" }, up);
  const group = h("span", { class: "flow-graph__scales", role: "group", "aria-label": "Activation of the selected feature" }, ...scales.map(({ element }) => element));
  const below = h("div", { class: "flow-graph__buttons", role: "group", "aria-label": "Grow the graph downwards, change the activation" }, down, group);

  /**
   * @param {State} state
   * @param {Layout} layout
   * @param {number | null} selected
   */
  function update(state, layout, selected) {
    const place = selected === null ? undefined : layout.places.get(selected);
    above.hidden = below.hidden = !place || state.mode !== "edit";
    if (above.hidden || !place || selected === null) return;
    const now = state.scales[state.graph.nodes[selected].id] ?? 1;
    for (const { factor, element } of scales) element.setAttribute("aria-pressed", String(factor === now));
    const half = layout.nodeHeight / 2;
    const ended = state.graph.nodes[selected].ended;
    above.style.top = `${place.y - half - GAP - HEIGHT - (ended ? 6 : 0)}px`;
    below.style.top = `${place.y + half + GAP}px`;
    for (const part of [above, below]) {
      // Near an edge of the picture they would hang over it and let it scroll.
      const reach = part.offsetWidth / 2 + 2;
      part.style.left = `${Math.min(layout.width - reach, Math.max(reach, place.x))}px`;
    }
  }

  return { elements: [above, below], update };
}

export const FACTORS = [
  { factor: 0, text: "off", words: "Switch the feature off (0)" },
  { factor: 1, text: "×1", words: "Leave the feature as it is (1)" },
  { factor: 2, text: "×2", words: "Double the activation (2)" },
  { factor: 4, text: "×4", words: "Four times the activation (4)" },
];
const GAP = 4;
const HEIGHT = 24;

/**
 * @param {string} text
 * @param {string} words
 * @param {() => void} onclick
 */
const button = (text, words, onclick) => h("button", { type: "button", title: words, "aria-label": words, ...OWN_KEYS, onclick }, text);
