import { OWN_KEYS, h, svg } from "../lib/dom.js";
import { PIN_COLORS } from "../lib/colors.js";
import { formatNumber, formatProbability, formatRank } from "../lib/numbers.js";
import { labelStride, rankLines } from "../lib/rank_lines.js";
import { candidates, hasTokens, trackOf } from "./state.js";
import { placeText, quoted, ranksText } from "./text.js";
import { probabilityBar, tokenElement } from "./tooltip.js";

/**
 * Below the grid: the selected cell's tokens as buttons that pin them, and the pinned tokens' ranks
 * through the rows. Below, not beside, because the grid needs the width.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Pin} Pin
 * @param {(pin: Pin) => void} toggle
 */
export function details(toggle) {
  const element = h("div", { class: "token-grid__details" });
  /** @type {unknown[]} */
  let shown = [];

  /** @param {State} state */
  function update(state) {
    const width = element.parentElement?.clientWidth ?? 0;
    const key = [state.panel, state.tokens, state.selected, state.pinned, width];
    if (key.every((item, i) => item === shown[i])) return;
    shown = key;
    const root = /** @type {Document | ShadowRoot} */ (element.getRootNode());
    const focused = /** @type {HTMLElement | null} */ (root.activeElement)?.dataset?.key;
    const list = state.selected && hasTokens(state.panel) ? candidateList(state, state.selected, toggle) : null;
    element.hidden = list === null && state.pinned.length === 0;
    const wide = width >= 640;
    const chartWidth = Math.max(240, wide && list ? width - 280 : width);
    const chart = state.pinned.length > 0 ? rankChart(state, chartWidth, toggle) : null;
    element.replaceChildren(...[list, chart].filter((part) => part !== null));
    if (focused) [...element.querySelectorAll("button")].find((button) => button.dataset.key === focused)?.focus();
  }

  return { element, update };
}

/**
 * @param {State} state
 * @param {import("../lib/grid_geometry.js").Cell} cell
 * @param {(pin: Pin) => void} toggle
 */
function candidateList(state, cell, toggle) {
  const items = candidates(state, cell).map(({ id, token, logprob }) => {
    const index = state.pinned.findIndex((pin) => pin.pos === cell.pos && pin.id === id);
    const button = h(
      "button",
      {
        type: "button",
        ...OWN_KEYS,
        class: "token-grid__candidate",
        "data-key": `pin ${cell.pos} ${id}`,
        "aria-pressed": index >= 0 ? "true" : "false",
        title: index >= 0 ? "Unpin this token" : "Pin this token and draw its rank",
        onclick: () => toggle({ pos: cell.pos, token, id }),
      },
      swatch(index),
      tokenElement(token),
      h("span", { class: "token-grid__meter" }, probabilityBar(logprob)),
      h("span", { class: "token-grid__number" }, formatProbability(logprob)),
    );
    return h("li", {}, button);
  });
  return h(
    "section", { class: "token-grid__list", "aria-label": "Top tokens of the selected cell" },
    h("div", { class: "token-grid__caption" }, placeText(state, cell)),
    h("ol", {}, ...items),
  );
}

/** @param {number} index of the pin, -1 for none */
function swatch(index) {
  const color = index >= 0 ? PIN_COLORS[index % PIN_COLORS.length] : "transparent";
  return h("span", { class: "token-grid__swatch", style: { background: color } });
}

/**
 * After eight pins the colours come again, on broken lines.
 * @param {number} index
 */
const dashes = (index) => (index < PIN_COLORS.length ? null : `${2 + 3 * Math.floor(index / PIN_COLORS.length)} 3`);

/**
 * @param {State} state
 * @param {number} width
 * @param {(pin: Pin) => void} toggle
 */
function rankChart(state, width, toggle) {
  const { panel, pinned } = state;
  const tracks = pinned.map((pin) => trackOf(panel, pin.pos, pin.id));
  const box = { left: 74, right: 14, top: 10, bottom: 30, width, height: 210 };
  const chart = rankLines(tracks.map((track) => track?.ranks ?? []), box);
  const stride = labelStride(panel.rows.length, width - box.left - box.right, 12 + 7 * Math.max(...panel.rows.map((row) => row.length)));
  const picture = svg("svg", {
    class: "token-grid__chart", width, height: box.height, viewBox: `0 0 ${width} ${box.height}`,
    role: "img", "aria-label": ranksText(state),
  });
  for (const { rank, y } of chart.ticks) {
    picture.append(
      svg("line", { class: "token-grid__gridline", x1: box.left - 4, x2: width - box.right, y1: y, y2: y }),
      svg("text", { x: box.left - 8, y: y + 4, "text-anchor": "end" }, formatRank(rank)),
    );
  }
  panel.rows.forEach((label, row) => {
    if ((panel.rows.length - 1 - row) % stride !== 0) return;
    picture.append(svg("text", { x: chart.x(row), y: box.height - 12, "text-anchor": "middle" }, label));
  });
  picture.append(svg("text", { class: "token-grid__axis", x: 12, y: box.height / 2, transform: `rotate(-90 12 ${box.height / 2})`, "text-anchor": "middle" }, "rank (1 = top)"));
  chart.lines.forEach((drawn, i) => {
    const color = PIN_COLORS[i % PIN_COLORS.length];
    picture.append(svg("path", { d: drawn.path, stroke: color, "stroke-dasharray": dashes(i), fill: "none", "stroke-width": 2 }));
    for (const point of drawn.points) {
      const logprob = tracks[i]?.logprobs[point.row] ?? NaN;
      const words = `${quoted(pinned[i].token)} at position ${pinned[i].pos}, ${panel.rows[point.row]}: rank ${formatRank(point.rank)}, probability ${formatProbability(logprob)}`;
      picture.append(svg("circle", { cx: point.x, cy: point.y, r: panel.rows.length > 30 ? 2.5 : 3.5, fill: color }, svg("title", {}, words)));
    }
  });
  const chips = pinned.map((pin, i) => pinChip(state, pin, i, tracks[i], toggle));
  return h(
    "section", { class: "token-grid__ranks", "aria-label": "Ranks of the pinned tokens" },
    h("div", { class: "token-grid__chips" }, ...chips),
    picture,
  );
}

/**
 * @param {State} state
 * @param {Pin} pin
 * @param {number} index
 * @param {import("./state.js").Track | null} track
 * @param {(pin: Pin) => void} toggle
 */
function pinChip(state, pin, index, track, toggle) {
  const last = track?.ranks.at(-1);
  const k = state.panel.top.shape[2];
  let note = ` at ${formatNumber(pin.pos, 0)}`;
  if (!track) note += ", not tracked here";
  else if (!track.exact) note += `, only where in the top ${k}`;
  else if (last) note += `, ends at rank ${formatRank(last)}`;
  return h(
    "span", { class: "token-grid__chip" },
    swatch(index), tokenElement(pin.token), h("span", { class: "token-grid__note" }, note),
    h("button", {
      type: "button", ...OWN_KEYS, "data-key": `unpin ${pin.pos} ${pin.id}`, "aria-label": `Unpin ${quoted(pin.token)} at position ${pin.pos}`,
      title: "Unpin", onclick: () => toggle(pin),
    }, "×"),
  );
}
