import { ticks } from "d3-array";
import { h } from "../lib/dom.js";
import { colorTable } from "../lib/colors.js";
import { headHigh } from "./state.js";
import { headName, quantityName } from "./text.js";

/**
 * The colours of the enlarged head.
 *
 * @typedef {import("./state.js").State} State
 */
export function legend() {
  const { fill } = colorTable("viridis", false);
  const stops = Array.from({ length: 17 }, (_, i) => fill[Math.round((i / 16) * (fill.length - 1))]);
  const name = h("div", { class: "attention-grid__legend-name" });
  const bar = h("div", { class: "attention-grid__bar", style: { background: `linear-gradient(to right, ${stops.join(", ")})` } });
  const numbers = h("div", { class: "attention-grid__ticks", "aria-hidden": "true" });
  const scale = h("div", { class: "attention-grid__scale", role: "img" }, bar, numbers);
  const element = h("div", { class: "attention-grid__legend" }, name, scale);
  let told = "";

  /** @param {State} state */
  function update(state) {
    const high = headHigh(state);
    const words = `${headName(state)}: ${quantityName(state.weighted)}`;
    if (told === `${words} ${high}`) return;
    told = `${words} ${high}`;
    name.textContent = words;
    scale.setAttribute("aria-label", `Colours: ${words} from 0 to ${Number(high.toPrecision(3))}`);
    // All weights of a head can be 0: then there is one colour and one number.
    const values = high > 0 ? ticks(0, high, 4) : [0];
    numbers.replaceChildren(...values.map((value) =>
      h("span", { style: { left: `${high > 0 ? (100 * value) / high : 0}%` } }, String(Number(value.toPrecision(3))))));
  }

  return { element, update };
}
