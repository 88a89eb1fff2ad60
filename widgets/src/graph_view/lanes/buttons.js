import { h } from "../../lib/dom.js";
import { button } from "../parts.js";
import { expanded, scaled } from "./state.js";

/**
 * The buttons of the selected node in edit mode, in the free room above and below it: grow the graph
 * there, and change the activation. Elsewhere nobody would answer them.
 *
 * @typedef {import("./picture.js").Scene} Scene
 * @param {import("../../graph_view.js").Acts} acts
 * @param {() => Scene} scene
 */
export function buttons({ choose }, scene) {
  /** @param {"up" | "down"} way */
  const expand = (way) => choose(expanded(scene().state, scene().state.selected, way));
  /** @param {number} factor */
  const scale = (factor) => choose({ scales: scaled(scene().state, scene().state.selected, factor) });
  const up = button("▲", "Expand up: show more successors (u)", () => expand("up"));
  const down = button("▼", "Expand down: show more predecessors (d)", () => expand("down"));
  const scales = FACTORS.map(({ factor, text, words }) => ({ factor, element: button(text, words, () => scale(factor)) }));
  const above = h("div", { class: "graph-view__buttons", role: "group", "aria-label": "Grow the graph upwards" }, up);
  const group = h("span", { class: "graph-view__scales", role: "group", "aria-label": "Activation of the selected feature" }, ...scales.map(({ element }) => element));
  const below = h("div", { class: "graph-view__buttons", role: "group", "aria-label": "Grow the graph downwards, change the activation" }, down, group);

  /** @param {Scene} now */
  function update({ state, layout }) {
    const selected = state.graph.nodeIndex.get(state.selected) ?? -1;
    const place = layout.places.get(selected);
    above.hidden = below.hidden = !place || state.mode !== "edit";
    if (above.hidden || !place) return;
    const now = state.scales[state.selected] ?? 1;
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
