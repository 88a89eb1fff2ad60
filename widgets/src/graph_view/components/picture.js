/**
 * The graph as SVG. Edges lie below nodes, the weakest lowest and a circuit's highest. What is
 * pointed at is drawn once more above the others, which are dimmed as a group: so that pointing
 * changes a few elements, not hundreds.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {import("./layout.js").Layout} Layout
 * @typedef {import("./layout.js").Place} Place
 * @typedef {import("../../lib/curves.js").Route} Route
 * @typedef {import("../../graph_view.js").Item} Item
 * @typedef {import("../../lib/theme.js").Theme} Theme
 * @typedef {{state: State, layout: Layout, shown: Edge[], routes: Map<number, Route>, width: number,
 *   theme: Theme}} Scene
 * @typedef {{item: Item | null, selected: Item | null, focus: Item | null}} Marks `item` is brought out
 */
import { svg } from "../../lib/dom.js";
import { inkOn } from "../../lib/colors.js";
import { boxOf } from "../places.js";
import { cross } from "../parts.js";
import { PORT_HEIGHT } from "./layout.js";
import { isIdle, isMember } from "./state.js";
import { mix, signColors } from "../../lib/sign_colors.js";
import { fitLabels, kindText } from "./text.js";

const WIDTH = { least: 1, most: 7 };
const LABEL_SIZES = [12, 11, 10];

/**
 * Width of an edge's line.
 * @param {number} weight
 * @param {number} most the greatest size of a weight
 */
export const lineWidth = (weight, most) =>
  WIDTH.least + (most > 0 ? Math.abs(weight) / most : 0) * (WIDTH.most - WIDTH.least);

/** @param {string} prefix for the ids of elements, this view's own */
export function picture(prefix) {
  const bands = svg("g", { class: "graph-view__bands" });
  const edges = svg("g", { class: "graph-view__edges" });
  const nodes = svg("g", { class: "graph-view__nodes" });
  const raised = svg("g", { class: "graph-view__raised", "aria-hidden": "true" });
  const element = svg("svg", { class: "graph-view__svg" }, bands, edges, raised, nodes);
  const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));

  /**
   * Draws everything anew.
   * @param {Scene} scene
   */
  function paint(scene) {
    const { layout, shown, state } = scene;
    bands.replaceChildren(...layout.bands.flatMap((band, row) => bandParts(layout, band, row)));
    const linked = new Set(shown.flatMap((edge) => [edge.source, edge.target]));
    const ports = new Set(shown.map((edge) => `${edge.target} ${edge.channel}`));
    const lines = shown.map((edge) => edgeElement(scene, edge, `${prefix}-edge${edge.index}`)).reverse();
    const outside = (/** @type {Element} */ line) => Number(line.classList.contains("is-outside"));
    edges.replaceChildren(...lines.sort((a, b) => outside(b) - outside(a)));
    const labels = labelsOf(scene, pen);
    const most = Math.max(0, ...state.graph.nodes.map((node) => Math.abs(node.score ?? 0)));
    nodes.replaceChildren(...[...layout.places.values()].map((place) =>
      nodeElement(scene, place, `${prefix}-node${place.index}`, { label: labels.texts[place.index], size: labels.size, most, linked: linked.has(place.index), ports })));
  }

  /**
   * Brings out an item with its neighbours, and marks the selected and the focused one.
   * @param {Scene} scene
   * @param {Marks} marks
   */
  function emphasise(scene, { item, selected, focus }) {
    const near = new Set(item?.type === "node" ? [item.index] : []);
    const bright = scene.shown.filter((edge) => item !== null
      && (item.type === "node" ? edge.source === item.index || edge.target === item.index : edge.index === item.index));
    for (const edge of bright) near.add(edge.source).add(edge.target);
    element.classList.toggle("is-dimmed", item !== null);
    const rings = [ring(scene, focus, "focus"), ring(scene, selected, "selected")].filter((each) => each !== null);
    raised.replaceChildren(...rings, ...bright.reverse().map((edge) => edgeElement(scene, edge, null)));
    [...nodes.children].forEach((node, index) => {
      node.classList.toggle("is-near", near.has(index));
      node.classList.toggle("is-selected", selected?.type === "node" && selected.index === index);
      node.classList.toggle("is-focus", focus?.type === "node" && focus.index === index);
    });
  }

  return { element, paint, emphasise };
}

/**
 * @param {Layout} layout
 * @param {import("./layout.js").Band} band
 * @param {number} row
 */
function bandParts(layout, band, row) {
  const stripe = svg("rect", {
    class: row % 2 === 0 ? "is-even" : "", x: 0, y: band.top, width: layout.width, height: band.bottom - band.top,
  });
  return [stripe, svg("text", { x: 10, y: band.y, dy: "0.35em" }, band.label)];
}

/**
 * @param {Scene} scene
 * @param {Edge} edge
 * @param {string | null} id
 */
function edgeElement({ state, routes, theme }, edge, id) {
  const route = /** @type {Route} */ (routes.get(edge.index));
  const { positive, negative } = signColors(theme.background);
  const cut = state.cutEdges.has(edge.id);
  const idle = isIdle(state, edge);
  const group = svg("g", {
    id, role: id && "img",
    class: ["graph-view__edge", cut && "is-cut", idle && "is-idle", !isMember(state, edge) && "is-outside"].filter(Boolean).join(" "),
  });
  const width = lineWidth(edge.weight, state.graph.most);
  group.append(svg("path", {
    class: "graph-view__line", d: route.path, stroke: edge.weight < 0 ? negative : positive, "stroke-width": width.toFixed(2),
    // Dashes grow with the line, or a wide one would look solid.
    "stroke-dasharray": cut || idle ? `${(3 + width).toFixed(1)} ${(3 + 0.8 * width).toFixed(1)}` : null,
  }));
  if (cut) group.append(cross(route.middle, 4.5));
  return group;
}

/**
 * An outline of an edge, with a gap to its line, so that dashes stay visible; null for what is no edge drawn.
 * @param {Scene} scene
 * @param {Item | null} item
 * @param {"focus" | "selected"} name the focus lies outside the selection
 */
function ring({ state, shown, routes }, item, name) {
  const edge = item?.type === "edge" ? shown.find(({ index }) => index === item.index) : undefined;
  if (!edge) return null;
  const width = lineWidth(edge.weight, state.graph.most);
  const line = (/** @type {number} */ more, /** @type {string} */ kind) =>
    svg("path", { class: `graph-view__ring ${kind}`, d: /** @type {Route} */ (routes.get(edge.index)).path, "stroke-width": (width + more).toFixed(2) });
  return svg("g", {}, line(name === "focus" ? 11 : 7, `is-${name}`), line(4, "is-gap"));
}

/**
 * @param {Scene} scene
 * @param {Place} place
 * @param {string} id
 * @param {{label: string, size: number, most: number, linked: boolean, ports: Set<string>}} look
 */
function nodeElement({ state, theme }, place, id, { label, size, most, linked, ports }) {
  const node = state.graph.nodes[place.index];
  const cut = state.cutNodes.has(node.id);
  const outside = !(state.inCircuitNodes?.has(node.id) ?? true);
  const box = boxOf(place);
  const [left, top, foot] = [box.left, box.top, box.top + place.height];
  const fill = nodeFill(node.score, most, cut || outside, theme);
  const group = svg("g", {
    id, role: "img", "aria-label": `${node.label} (${kindText(node)})`,
    class: ["graph-view__node", `is-${node.kind}`, cut && "is-cut", outside && "is-outside", !linked && "is-unlinked"].filter(Boolean).join(" "),
  });
  if (place.ports) {
    const third = place.width / 3;
    ["q", "k", "v"].forEach((channel, i) => {
      const used = ports.has(`${place.index} ${channel}`);
      const x = left + i * third;
      group.append(svg(
        "g", { class: used ? "graph-view__port is-used" : "graph-view__port" },
        svg("rect", { x: x + 0.5, y: foot - 3, width: third - 1, height: PORT_HEIGHT + 3, rx: 3 }),
        svg("text", { x: x + third / 2, y: foot + PORT_HEIGHT / 2, dy: "0.32em" }, channel),
      ));
    });
  }
  group.append(svg("rect", { class: "graph-view__box", x: left, y: top, width: place.width, height: place.height, rx: 4, fill }));
  if (cut) {
    const inset = 3;
    const [l, r, t, b] = [left + inset, box.right - inset, top + inset, foot - inset];
    group.append(svg("path", { class: "graph-view__strike", d: `M${l},${t}L${r},${b}M${l},${b}L${r},${t}` }));
  }
  group.append(svg("text", {
    class: "graph-view__label", x: place.x, y: place.y, dy: "0.35em", "font-size": size, fill: inkOn(fill), stroke: cut ? fill : null,
  }, label));
  return group;
}

/**
 * What is written on the nodes, in the largest size in which the whole labels fit.
 * @param {Scene} scene
 * @param {CanvasRenderingContext2D} pen
 */
function labelsOf({ state, layout, theme }, pen) {
  /** @param {number} size */
  const written = (size) => {
    pen.font = `600 ${size}px ${theme.font}`;
    return fitLabels(state.graph.nodes, (text, i) => pen.measureText(text).width <= /** @type {Place} */ (layout.places.get(i)).width - 4);
  };
  for (const size of LABEL_SIZES) {
    const { texts, whole } = written(size);
    if (whole) return { texts, size };
  }
  const size = LABEL_SIZES[1];
  return { texts: written(size).texts, size };
}

/**
 * The more of an effect, the more of its sign's colour.
 * @param {number | null} score
 * @param {number} most
 * @param {boolean} plain
 * @param {Theme} theme
 */
function nodeFill(score, most, plain, theme) {
  if (plain || score === null || score === 0) return theme.background;
  const { positive, negative } = signColors(theme.background);
  return mix(theme.background, score < 0 ? negative : positive, 0.12 + (0.68 * Math.abs(score)) / most);
}
