/**
 * The graph as SVG: lanes and layers, edges below, nodes above. What lies on the path that is brought
 * out is marked by classes, so that pointing changes no element's place.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Shown} Shown
 * @typedef {import("./layout.js").Layout} Layout
 * @typedef {import("../../graph_view.js").Item} Item
 * @typedef {{state: State, shown: Shown, layout: Layout, routes: Map<number, import("../../lib/curves.js").Route>,
 *   theme: import("../../lib/theme.js").Theme, width: number}} Scene
 * @typedef {{item: Item | null, selected: number | null, focus: Item | null}} Marks `item`: the edge, or the
 *   node with its strongest path, that is brought out
 */
import { svg } from "../../lib/dom.js";
import { fitText } from "../../lib/fit_text.js";
import { visibleToken } from "../../lib/tokens.js";
import { mostActive, numbersOf, strongestPath } from "./state.js";
import { CLASS_NAMES, LANE_NAMES, activationText, scaleText, shortName } from "./text.js";

const WIDTH = { least: 1, most: 7 };
const STRIPE = 5;
const PADDING = 6;
const LAYER_STRIP = 36;
const LANE_STRIP = 22;

/** Width of an edge's line: similarities are read from 0 to 1. @param {number} weight */
export const lineWidth = (weight) => WIDTH.least + Math.min(1, Math.max(0, weight)) * (WIDTH.most - WIDTH.least);

/** @param {string} prefix for the ids of elements, this view's own */
export function picture(prefix) {
  const ground = svg("g", { class: "graph-view__ground" });
  const edges = svg("g", { class: "graph-view__edges" });
  const nodes = svg("g", { class: "graph-view__nodes" });
  const layers = svg("g", { class: "graph-view__layers" });
  const lanes = svg("g", { class: "graph-view__lanes" });
  const element = svg("svg", { class: "graph-view__svg" }, ground, edges, nodes, lanes, layers);
  const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  /** @type {Map<number, SVGElement>} */
  let drawnEdges = new Map();
  /** @type {Map<number, SVGElement>} */
  let drawnNodes = new Map();

  /** @param {Scene} scene */
  function paint(scene) {
    const { layout, shown, routes } = scene;
    ground.replaceChildren(...groundParts(layout));
    layers.replaceChildren(...layerParts(layout));
    lanes.replaceChildren(...laneParts(layout));
    const order = [...shown.edges].sort((a, b) => a.weight - b.weight || a.index - b.index);
    drawnEdges = new Map(order.map((edge) => [edge.index, svg("path", {
      id: `${prefix}-edge${edge.index}`, role: "img", class: "graph-view__edge", d: routes.get(edge.index)?.path, "stroke-width": lineWidth(edge.weight).toFixed(2), "data-edge": edge.index,
    })]));
    edges.replaceChildren(...drawnEdges.values());
    const most = mostActive(scene.state);
    drawnNodes = new Map([...layout.places.keys()].map((index) => [index, nodeElement(scene, index, `${prefix}-node${index}`, pen, most)]));
    nodes.replaceChildren(...drawnNodes.values());
  }

  /**
   * @param {Scene} scene
   * @param {Marks} marks
   */
  function emphasise(scene, { item, selected, focus }) {
    const path = item?.type === "node" ? strongestPath(scene.state.graph.nodes, scene.shown.edges, item.index) : null;
    const onPath = new Set(path?.nodes);
    element.classList.toggle("is-dimmed", path !== null);
    for (const [index, line] of drawnEdges) {
      line.classList.toggle("is-path", path?.edges.has(index) ?? false);
      line.classList.toggle("is-bright", item?.type === "edge" && item.index === index);
      line.classList.toggle("is-focus", focus?.type === "edge" && focus.index === index);
    }
    for (const [index, node] of drawnNodes) {
      node.classList.toggle("is-path", onPath.has(index));
      node.classList.toggle("is-selected", index === selected);
      node.classList.toggle("is-focus", focus?.type === "node" && focus.index === index);
    }
  }

  /**
   * Holds the names of layers and lanes at the edges of a frame that is scrolled.
   * @param {Layout} layout
   * @param {{scrollLeft: number, scrollTop: number, clientWidth: number}} frame
   */
  function hold({ columns }, { scrollLeft: x, scrollTop: y, clientWidth }) {
    layers.setAttribute("transform", `translate(${x},0)`);
    lanes.setAttribute("transform", `translate(0,${y})`);
    [...lanes.querySelectorAll("text")].forEach((text, i) => {
      const [left, right] = [Math.max(columns[i].left, x + LAYER_STRIP), Math.min(columns[i].right, x + clientWidth)];
      // In the middle of what shows of its lane.
      text.setAttribute("x", ((left < right ? left + right : columns[i].left + columns[i].right) / 2).toFixed(1));
    });
    layers.classList.toggle("is-held", x > 0);
    lanes.classList.toggle("is-held", y > 0);
  }

  return { element, paint, emphasise, hold };
}

/** @param {Layout} layout */
function groundParts({ bands, columns, width, height }) {
  return [
    ...bands.map((band, i) => svg("rect", {
      class: i % 2 === 0 ? "graph-view__band is-even" : "graph-view__band", x: 0, y: band.top, width, height: band.bottom - band.top,
    })),
    ...columns.slice(1).map(({ left }) => svg("path", { class: "graph-view__border", d: `M${left - 5},4V${height}` })),
  ];
}

/** @param {Layout} layout */
function layerParts({ bands, height }) {
  return [
    svg("rect", { class: "graph-view__behind", width: LAYER_STRIP, height }),
    ...bands.map((band) => svg("text", {
      class: "graph-view__layer", x: 8, y: (band.top + band.bottom) / 2, dy: "0.35em",
    }, band.layer < 0 ? "emb." : `L${band.layer}`)),
  ];
}

/** @param {Layout} layout */
function laneParts({ columns, width }) {
  return [
    svg("rect", { class: "graph-view__behind", width, height: LANE_STRIP }),
    ...columns.map(({ lane, left, right }) => svg("text", { class: "graph-view__lane", y: 15, x: (left + right) / 2 }, LANE_NAMES[lane])),
  ];
}

/**
 * @param {Scene} scene
 * @param {number} index
 * @param {string} id
 * @param {CanvasRenderingContext2D} pen
 * @param {number} most the greatest activation
 */
function nodeElement({ state, layout, theme: { font } }, index, id, pen, most) {
  const node = state.graph.nodes[index];
  const { nodeWidth, nodeHeight } = layout;
  const { x, y } = /** @type {import("./layout.js").Place} */ (layout.places.get(index));
  const factor = state.scales[node.id] ?? 1;
  const room = nodeWidth - STRIPE - 2 * PADDING;
  const left = STRIPE + PADDING;
  /** @param {string} text @param {number} size @param {number} weight @param {number} space */
  const fit = (text, size, weight, space) => {
    pen.font = `${weight} ${size}px ${font}`;
    return fitText(text, space, (part) => pen.measureText(part).width);
  };
  const name = shortName(node.id);
  const label = visibleToken(node.label.trim() || name);
  const group = svg("g", {
    id, role: "img", "data-node": index, "aria-label": `${node.id}${node.label ? ` “${node.label}”` : ""}`,
    transform: `translate(${(x - nodeWidth / 2).toFixed(1)},${(y - nodeHeight / 2).toFixed(1)})`,
    class: ["graph-view__node", `is-${node.class || "unknown"}`, node.root && "is-root", factor === 0 && "is-off", factor !== 1 && "is-scaled"].filter(Boolean).join(" "),
  });
  // The short end of a feature without a successor: a bar across the way up.
  if (node.ended) group.append(svg("path", { class: "graph-view__end", d: `M${nodeWidth / 2},0V-7M${nodeWidth / 2 - 12},-7H${nodeWidth / 2 + 12}` }));
  group.append(
    svg("rect", { class: "graph-view__box", width: nodeWidth, height: nodeHeight, rx: 5 }),
    svg("path", { class: "graph-view__stripe", d: `M${STRIPE},0.5V${nodeHeight - 0.5}H5A4.5,4.5 0 0 1 0.5,${nodeHeight - 5}V5A4.5,4.5 0 0 1 5,0.5Z` }),
  );
  const badge = factor === 1 ? "" : scaleText(factor);
  pen.font = `700 11px ${font}`;
  const badgeWidth = badge ? pen.measureText(badge).width + 8 : 0;
  group.append(svg("text", { class: "graph-view__label", x: left, y: 16 }, fit(label, 12, 600, room - badgeWidth)));
  if (badge) group.append(svg("text", { class: "graph-view__badge", x: nodeWidth - PADDING, y: 16 }, badge));
  const small = node.label.trim() ? name : "";
  const kind = node.class === "module" || node.class === "" ? "" : CLASS_NAMES[node.class];
  pen.font = `400 10px ${font}`;
  const both = [small, kind].filter(Boolean).join(" · ");
  const line = pen.measureText(both).width <= room ? both : small || kind;
  group.append(svg("text", { class: "graph-view__name", x: left, y: 30 }, fit(line, 10, 400, room)));
  if (state.mode === "edit") group.append(...barParts(numbersOf(state, index), most, left, room));
  return group;
}

/**
 * Two bars, before above and after below, with their numbers.
 * @param {{before: number, after: number}} numbers
 * @param {number} most
 * @param {number} left
 * @param {number} room
 */
function barParts(numbers, most, left, room) {
  const length = (/** @type {number} */ value) => (most > 0 && Number.isFinite(value) ? Math.max(1, (Math.abs(value) / most) * room) : 0);
  const parts = [];
  if (Number.isFinite(numbers.before)) parts.push(svg("rect", { class: "graph-view__before", x: left, y: 35, height: 4, width: length(numbers.before).toFixed(1) }));
  if (Number.isFinite(numbers.after)) parts.push(svg("rect", { class: "graph-view__after", x: left, y: 40, height: 4, width: length(numbers.after).toFixed(1) }));
  parts.push(svg("text", { class: "graph-view__activation", x: left, y: 55 }, activationText(numbers) || "activation not known"));
  return parts;
}
