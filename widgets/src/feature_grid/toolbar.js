import { OWN_KEYS, h } from "../lib/dom.js";
import { formatRank } from "../lib/numbers.js";
import { shade } from "../lib/sign_colors.js";
import { MOST_SHOWN, ORDERS, toggled } from "./state.js";
import { rowText, short } from "./text.js";

/**
 * Which features have a row, how many, and what the colours mean.
 *
 * @typedef {import("./state.js").State} State
 * @param {(changes: Partial<import("./state.js").Choice>) => void} choose sends the user's choice to the model
 */
export function toolbar(choose) {
  /** @type {State} */
  let state;
  /** @type {unknown[]} */
  let drawnFrom = [];
  const order = h(
    "select", { class: "workbench__select", "aria-label": "Which features are shown", ...OWN_KEYS, onchange: () => choose({ order: order.value }) },
    ...Object.entries(ORDERS).map(([value, text]) => h("option", { value }, text)),
  );
  const slider = h("input", {
    type: "range", min: 1, step: 1, class: "workbench__slider feature-grid__slider", "aria-label": "Number of features shown at most", ...OWN_KEYS,
    oninput: () => choose({ n_shown: Number(slider.value) }),
  });
  const count = h("span", { class: "feature-grid__count" });
  const add = h("select", { class: "workbench__select", "aria-label": "Choose a feature by hand", ...OWN_KEYS, onchange: () => {
    const name = add.value;
    add.value = "";
    if (name) choose({ chosen: toggled(state, name), order: "chosen" });
  } });
  const legend = h("span", { class: "feature-grid__legend" });
  const chips = h("div", { class: "feature-grid__chips", role: "group", "aria-label": "Features chosen by hand" });
  const field = (/** @type {string} */ words, /** @type {Node[]} */ ...content) => h("label", { class: "workbench__field" }, h("span", {}, words), h("span", { class: "workbench__range" }, ...content));
  const atMost = field("At most", slider, count);
  const element = h(
    "div", { class: "workbench__tools" }, field("Features", order), atMost, field("By hand", add),
    h("span", { class: "workbench__field" }, h("span", {}, "Activation"), legend), chips,
  );

  /**
   * @param {State} now
   * @param {import("../lib/theme.js").Theme} theme
   */
  function update(now, theme) {
    state = now;
    order.value = now.order;
    slider.max = String(Math.min(MOST_SHOWN, now.features.length));
    slider.value = String(now.nShown);
    atMost.hidden = now.order === "chosen";
    const words = `${formatRank(now.rows.length)} of ${formatRank(now.features.length)}`;
    count.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    const key = [now.features, now.chosen, now.order, now.most, theme.background];
    if (key.every((item, i) => item === drawnFrom[i])) return;
    drawnFrom = key;
    const full = now.chosen.length >= MOST_SHOWN;
    add.disabled = full;
    add.replaceChildren(
      h("option", { value: "" }, full ? `no more than ${MOST_SHOWN}` : "choose a feature…"),
      ...now.features.filter((feature) => !now.chosen.includes(feature.name)).map((feature) => h("option", { value: feature.name }, rowText(feature).slice(0, 60))),
    );
    add.value = "";
    const shown = now.order === "chosen" ? now.chosen : [];
    chips.hidden = shown.length === 0;
    chips.replaceChildren(...shown.map((name) => {
      const feature = now.features.find((each) => each.name === name) ?? { name, label: "" };
      const drop = h("button", { type: "button", "aria-label": `Drop ${name}`, title: `Drop ${name}`, ...OWN_KEYS, onclick: () => choose({ chosen: toggled(state, name) }) }, "×");
      return h("span", { class: "feature-grid__chip" }, h("span", {}, rowText(feature)), drop);
    }));
    const steps = [0, 0.25, 0.5, 0.75, 1].map((share) => h("span", { class: "feature-grid__step", style: { background: shade(share * now.most, now.most, theme.background) || theme.header } }));
    legend.replaceChildren("0", ...steps, short(now.most));
  }

  return { element, update };
}
