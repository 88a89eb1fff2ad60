/**
 * The tables and the histogram beside the contexts.
 *
 * @typedef {import("./state.js").Page} Page
 * @typedef {import("./state.js").Link} Link
 * @typedef {import("./state.js").TokenValue} TokenValue
 */
import { OWN_KEYS, h, svg } from "../lib/dom.js";
import { formatRank } from "../lib/numbers.js";
import { tokenParts } from "../lib/tokens.js";
import { percent, short, signed } from "./text.js";

const CHART = { width: 260, height: 74, foot: 16 };

/**
 * Every part that there is something to say in: what the feature is active on and near to.
 * @param {Page} page
 * @param {(name: string) => void} choose follows a link
 */
export function lists(page, choose) {
  return [
    ...(page.histogram ? [section("Activations where active", histogram(page.histogram))] : []),
    ...pair(tokens("Active on", "share of its activity", page.fires_on, percent)),
    ...pair(tokens("Promotes", "change of the logit", page.promoted, signed), tokens("Suppresses", "change of the logit", page.suppressed, signed)),
    ...links("Nearest features", page.nearest_by, page.nearest, choose),
    ...links("Active together with", page.coactive_by, page.coactive, choose),
  ];
}

/** What removing it does. @param {Page} page */
export function effects(page) {
  const [less, more] = [page.lowered, page.raised];
  const change = "change of the probability";
  return [
    ...ablation(page),
    ...pair(tokens("Less likely without it", change, less, signed), tokens("More likely without it", change, more, signed)),
  ];
}

/**
 * @param {string} title
 * @param {...(Node | string | null)} content
 */
const section = (title, ...content) => h("section", { class: "feature-page__part" }, h("h4", {}, title), ...content);

/** What there is of two parts, side by side. @param {...(HTMLElement | null)} parts */
function pair(...parts) {
  const there = parts.filter((part) => part !== null);
  return there.length > 0 ? [h("div", { class: "feature-page__pair" }, ...there)] : [];
}

/**
 * @param {string} title
 * @param {string} unit
 * @param {TokenValue[]} rows
 * @param {(value: number) => string} format
 */
function tokens(title, unit, rows, format) {
  if (rows.length === 0) return null;
  const most = Math.max(...rows.map(({ value }) => Math.abs(value)));
  return section(title, h("table", { "aria-label": `${title}: ${unit}` }, h("caption", {}, unit), h("tbody", {}, ...rows.map(({ token, value }) => h(
    "tr", {},
    h("th", { scope: "row" }, ...tokenParts(token).map((part) => (part.mark ? h("i", {}, part.text) : part.text))),
    h("td", { class: "feature-page__meter" }, h("span", { class: value < 0 ? "is-negative" : "is-positive", style: { width: `${most > 0 ? (100 * Math.abs(value)) / most : 0}%` } })),
    h("td", { class: "feature-page__number" }, format(value)),
  )))));
}

/**
 * @param {string} title
 * @param {string} by
 * @param {Link[]} rows
 * @param {(name: string) => void} choose
 */
function links(title, by, rows, choose) {
  if (rows.length === 0) return [];
  return [section(title, h("table", { "aria-label": `${title}, by ${by}` }, h("caption", {}, by), h("tbody", {}, ...rows.map(({ name, label, value }) => h(
    "tr", {},
    h("th", { scope: "row" }, h(
      "button", { type: "button", class: "feature-page__link", title: `Open the page of ${name}`, ...OWN_KEYS, onclick: () => choose(name) },
      h("span", { class: "feature-page__link-name" }, name), label ? h("span", { class: "feature-page__link-label" }, ` ${label}`) : null,
    )),
    h("td", { class: "feature-page__number" }, short(value)),
  )))))];
}

/** @param {Page} page */
function ablation({ ablation: measured, ablation_note: note }) {
  if (measured.length === 0) return [];
  const cell = (/** @type {number[] | null} */ means) =>
    (means === null ? "not measured" : `${signed(means[0])} (${short(means[1])} to ${short(means[2])})`);
  return [section("Without the feature", h(
    "table", { class: "feature-page__effects" },
    h("thead", {}, h("tr", {}, ...["", "this feature", "control"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...measured.map(({ quantity, unit, effect, control }) => h(
      "tr", {}, h("th", { scope: "row" }, quantity, unit ? h("small", {}, ` ${unit}`) : null), h("td", {}, cell(effect)), h("td", {}, cell(control)),
    ))),
  ), note ? h("p", { class: "feature-page__note" }, note) : null)];
}

/**
 * Bars as high as the logarithm of their counts: a few strong activations are what matters most.
 * @param {import("./state.js").Bins} bins
 */
function histogram({ edges, counts }) {
  const { width, height, foot } = CHART;
  const most = Math.log1p(Math.max(...counts));
  const step = width / counts.length;
  const bars = counts.map((count, i) => {
    const tall = most > 0 ? (Math.log1p(count) / most) * (height - foot - 4) : 0;
    return svg(
      "g", {},
      svg("rect", { class: "feature-page__hit", x: i * step, y: 0, width: step, height: height - foot }),
      svg("rect", { class: "feature-page__bar", x: i * step + 0.5, y: height - foot - tall, width: Math.max(1, step - 1), height: tall }),
      svg("title", {}, `${short(edges[i])} to ${short(edges[i + 1])}: ${formatRank(count)}`),
    );
  });
  const marks = [[0, "start"], [counts.length / 2, "middle"], [counts.length, "end"]].map(([at, anchor]) => {
    const edge = Math.round(Number(at));
    return svg("text", { x: edge * step, y: height - 3, "text-anchor": anchor }, short(edges[edge]));
  });
  const top = counts.indexOf(Math.max(...counts));
  const words = `${formatRank(counts.reduce((a, b) => a + b, 0))} activations from ${short(edges[0])} to ${short(edges[counts.length])}; most, `
    + `${formatRank(counts[top])}, from ${short(edges[top])} to ${short(edges[top + 1])}`;
  return h(
    "div", {},
    svg("svg", { class: "feature-page__histogram", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words }, ...bars, ...marks),
    h("p", { class: "feature-page__note" }, "height: logarithm of the count"),
  );
}
