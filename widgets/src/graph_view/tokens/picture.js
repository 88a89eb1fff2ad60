/**
 * The graph as SVG: stripes of layers, edges, what is brought out of them, nodes, and at the frame's edges
 * the names of layers and the tokens. Pointing draws a few edges once more above the others, which are
 * dimmed as a group: so it changes a few elements, not hundreds.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Shown} Shown
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {import("./layout.js").Layout} Layout
 * @typedef {import("../../lib/curves.js").Route} Route
 * @typedef {import("../../lib/theme.js").Theme} Theme
 * @typedef {import("../../graph_view.js").Item} Item
 * @typedef {{state: State, shown: Shown, layout: Layout, routes: Map<number, Route>, theme: Theme,
 *   found: Set<number> | null, width: number}} Scene `routes` by the edge's number; `found`: the nodes
 *   with the word looked for; `width`: the room there is
 * @typedef {{item: Item | null, path: boolean, selected: number | null, other: number | null,
 *   focus: Item | null}} Marks `item` is brought out; else, where `path` says so, the strongest path
 */
import { svg } from "../../lib/dom.js";
import { signColors } from "../../lib/sign_colors.js";
import { cross } from "../parts.js";
import { nodeElement } from "./boxes.js";
import { layerParts, slide, stripsOf, tokenParts } from "./frame.js";
import { LAYER_STRIP, TOKEN_STRIP } from "./layout.js";

const WIDTH = { least: 0.8, most: 6 };
/** How an edge into a head is drawn; a value's is solid, as it alone carries something. @type {Record<string, string>} */
export const DASHES = { k: "7 4", q: "2 3" };

/** Width of an edge's line. @param {number} share */
export const lineWidth = (share) => WIDTH.least + share * (WIDTH.most - WIDTH.least);

/** @param {string} prefix for the ids of elements, this view's own */
export function picture(prefix) {
  const ground = svg("g", { class: "graph-view__ground" });
  const edges = svg("g", { class: "graph-view__edges" });
  const raised = svg("g", { class: "graph-view__raised", "aria-hidden": "true" });
  const nodes = svg("g", { class: "graph-view__nodes" });
  const layers = svg("g", { class: "graph-view__layers" });
  const tokens = svg("g", { class: "graph-view__tokens" });
  const corner = svg("rect", { class: "graph-view__behind", width: LAYER_STRIP - 8, height: TOKEN_STRIP });
  const element = svg("svg", { class: "graph-view__svg" }, ground, edges, raised, nodes, layers, tokens);
  const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  /** @type {Map<number, SVGElement>} */
  let drawnNodes = new Map();
  /** Columns wide enough to be seen in part, with what is written on their bars and below them. @type {import("./frame.js").Strip[]} */
  let strips = [];

  /** @param {Scene} scene */
  function paint(scene) {
    const { layout, shown } = scene;
    ground.replaceChildren(...groundParts(layout));
    edges.replaceChildren(...shown.edges.flatMap((edge) => edgeParts(scene, edge, `${prefix}-edge${edge.index}`)));
    drawnNodes = new Map([...layout.places.keys()].map((index) => [index, nodeElement(scene, index, `${prefix}-node${index}`, pen)]));
    nodes.replaceChildren(...drawnNodes.values());
    layers.replaceChildren(...layerParts(layout));
    tokens.replaceChildren(...tokenParts(scene, pen), corner);
    element.classList.toggle("is-searched", scene.found !== null);
    strips = stripsOf(scene, drawnNodes, [...tokens.querySelectorAll("[data-token]")]);
  }

  /**
   * @param {Scene} scene
   * @param {Marks} marks
   */
  function emphasise(scene, { item, path, selected, other, focus }) {
    const { shown } = scene;
    const way = !item && path ? shown.path : null;
    const bright = way ? way.edges : shown.edges.filter((edge) => item !== null
      && (item.type === "edge" ? edge.index === item.index : edge.source === item.index || edge.target === item.index));
    const near = new Set([...bright.flatMap((edge) => [edge.source, edge.target]), ...(item?.type === "node" ? [item.index] : [])]);
    element.classList.toggle("is-dimmed", near.size > 0);
    const ringed = focus?.type === "edge" ? scene.routes.get(focus.index) : undefined;
    raised.replaceChildren(
      ...(ringed ? [svg("path", { class: "graph-view__ring", d: ringed.path })] : []),
      ...bright.flatMap((edge) => edgeParts(scene, edge, null)),
    );
    for (const [index, node] of drawnNodes) {
      node.classList.toggle("is-near", near.has(index));
      node.classList.toggle("is-selected", index === selected);
      node.classList.toggle("is-other", index === other);
      node.classList.toggle("is-focus", focus?.type === "node" && index === focus.index);
    }
  }

  /**
   * Holds the names of layers and the tokens at the edges of a frame that is scrolled.
   * @param {Layout} layout
   * @param {{scrollLeft: number, scrollTop: number, clientWidth: number, clientHeight: number}} frame
   * @param {number} zoom
   */
  function hold({ height }, { scrollLeft, scrollTop, clientWidth, clientHeight }, zoom) {
    const foot = Math.min(height, (scrollTop + clientHeight) / zoom);
    layers.setAttribute("transform", `translate(${(scrollLeft / zoom).toFixed(1)},0)`);
    tokens.setAttribute("transform", `translate(0,${(foot - TOKEN_STRIP).toFixed(1)})`);
    corner.setAttribute("x", (scrollLeft / zoom).toFixed(1));
    layers.classList.toggle("is-held", scrollLeft > 0);
    const [from, to] = [scrollLeft / zoom + LAYER_STRIP - 4, (scrollLeft + clientWidth) / zoom];
    for (const strip of strips) slide(strip, from, to);
    tokens.classList.toggle("is-held", foot < height - 1);
  }

  return { element, paint, emphasise, hold };
}

/** @param {Layout} layout */
function groundParts({ bands, columns, width, height }) {
  return [
    ...bands.map((band, i) => svg("rect", {
      class: i % 2 === 1 ? "graph-view__band is-even" : "graph-view__band", x: 0, y: band.top.toFixed(1), width, height: (band.bottom - band.top).toFixed(1),
    })),
    ...columns.slice(1).map(({ left }) => svg("path", { class: "graph-view__border", d: `M${(left - 6).toFixed(1)},0V${height}` })),
  ];
}

/**
 * The line of an edge, no group round it: there are many. Where it is cut, a cross besides.
 * @param {Scene} scene
 * @param {Edge} edge
 * @param {string | null} id
 */
function edgeParts({ state, routes, theme }, edge, id) {
  const { positive, negative } = signColors(theme.background);
  const { path, middle } = /** @type {Route} */ (routes.get(edge.index));
  const cut = state.cuts.has(edge.id);
  const line = svg("path", {
    id, role: id && "img", "data-edge": id && edge.index, class: cut ? "graph-view__line is-cut" : "graph-view__line", d: path,
    stroke: edge.weight < 0 ? negative : positive, "stroke-width": lineWidth(edge.share).toFixed(2),
    "stroke-dasharray": cut ? "3 4" : DASHES[edge.channel] ?? null,
  });
  if (!cut) return [line];
  return [line, cross(middle, 3.5)];
}
