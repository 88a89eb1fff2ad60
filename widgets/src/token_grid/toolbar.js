import { OWN_KEYS, h } from "../lib/dom.js";
import { SCHEMES } from "../lib/colors.js";
import { formatNumber } from "../lib/numbers.js";
import { components, findPanel, lenses } from "./state.js";
import { stateColors, stateScale } from "./painter.js";

/**
 * The selectors and the colour legend above a grid.
 *
 * @typedef {import("./state.js").State} State
 * @param {(changes: Partial<import("./state.js").Choice>) => void} choose sends the user's choice to the model
 */
export function toolbar(choose) {
  /** @type {State} */
  let state;
  /** @type {unknown[]} */
  let legendOf = [];

  /** @param {number} panel */
  function choosePanel(panel) {
    const { quantities, rows } = state.panels[panel];
    /** @type {Partial<import("./state.js").Choice>} */
    const changes = { panel };
    // One message holds all of it: the kernel refuses a panel with a quantity or a row it lacks.
    if (!(state.quantityName in quantities)) changes.quantity = Object.keys(quantities)[0];
    if (state.selected && state.selected.row >= rows.length) changes.selected = null;
    choose(changes);
  }

  const quantity = selector("Show", (value) => choose({ quantity: value }));
  const lens = selector("Lens", (value) => choosePanel(findPanel(state.panels, value, state.panel.component)));
  const component = selector("Component", (value) => choosePanel(findPanel(state.panels, state.panel.lens, value)));
  const colors = selector("Colours", (value) => choose({ color_scheme: value }));
  const legend = h("div", { class: "token-grid__legend" });
  const element = h(
    "div", { class: "workbench__tools" },
    lens.element, component.element, quantity.element, colors.element, legend,
  );

  /** @param {State} next */
  function update(next) {
    state = next;
    const names = Object.keys(next.panel.quantities);
    quantity.update(names, names.map((name) => next.panel.quantities[name].label), next.quantityName);
    const lensNames = lenses(next.panels);
    lens.update(lensNames, lensNames, next.panel.lens);
    const componentNames = components(next.panels, next.panel.lens);
    component.update(componentNames, componentNames, next.panel.component);
    const diverging = next.quantity.scale === "diverging";
    colors.update(SCHEMES, SCHEMES, next.scheme);
    colors.disable(diverging, "signed quantities are always drawn red–white–blue around zero");
    const key = [next.quantity, next.scheme];
    if (key.some((item, i) => item !== legendOf[i])) legend.replaceChildren(...legendParts(next));
    legendOf = key;
  }

  return { element, update };
}

/**
 * A labelled drop-down, hidden while it has nothing to choose between.
 * @param {string} label
 * @param {(value: string) => void} changed
 */
function selector(label, changed) {
  const select = h("select", {
    class: "workbench__select", "aria-label": label, ...OWN_KEYS, onchange: () => changed(select.value),
  });
  const element = h("label", { class: "workbench__field" }, h("span", {}, label), select);
  let shown = "";
  return {
    element,
    /**
     * @param {string[]} values
     * @param {string[]} labels
     * @param {string} value
     */
    update(values, labels, value) {
      const key = JSON.stringify([values, labels]);
      if (key !== shown) {
        select.replaceChildren(...values.map((item, i) => h("option", { value: item }, labels[i])));
        element.hidden = values.length < 2;
        shown = key;
      }
      select.value = value;
    },
    /**
     * @param {boolean} disabled
     * @param {string} reason
     */
    disable(disabled, reason) {
      select.disabled = disabled;
      element.title = disabled ? reason : "";
    },
  };
}

/** @param {State} state */
function legendParts(state) {
  const { quantity } = state;
  const { fill } = stateColors(state);
  const scale = stateScale(state);
  const stops = Array.from({ length: 17 }, (_, i) => fill[Math.round((i / 16) * (fill.length - 1))]);
  const [low, high] = scale.domain;
  const bar = h("div", {
    class: "token-grid__bar",
    style: { background: `linear-gradient(to right, ${stops.join(", ")})` },
  });
  const numbers = h(
    "div", { class: "token-grid__ticks", "aria-hidden": "true" },
    ...scale.ticks.map(({ value, at }) =>
      h("span", { style: { left: `${at * 100}%` } }, tickText(value)),
    ),
  );
  const unit = quantity.unit ? ` (${quantity.unit})` : "";
  const spoken = `Colours: ${quantity.label}${unit} from ${formatNumber(low, quantity.digits)} to ${formatNumber(high, quantity.digits)}`;
  return [
    h("div", { class: "token-grid__legend-name" }, `${quantity.label}${unit}`),
    h("div", { class: "token-grid__scale", role: "img", "aria-label": spoken }, bar, numbers),
  ];
}

/**
 * The shortest text of a tick: "0.2", "10k".
 * @param {number} value
 */
function tickText(value) {
  if (Math.abs(value) >= 1000) return `${Number((value / 1000).toPrecision(3))}k`.replace("-", "−");
  return String(Number(value.toPrecision(3))).replace("-", "−");
}
