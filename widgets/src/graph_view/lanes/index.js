/**
 * Features of dictionaries in three lanes, and how similar each is to those before it.
 *
 * @typedef {import("./picture.js").Scene} Scene
 * @typedef {import("../../graph_view.js").Item} Item
 */
import { FACTORS, buttons } from "./buttons.js";
import { layOut, routeOf } from "./layout.js";
import { picture } from "./picture.js";
import { TRAITS, expanded, readState, scaled, shownPart } from "./state.js";
import { edgeText, nodeText } from "./text.js";
import { edgeContent, nodeContent } from "./tip.js";
import { toolbar } from "./toolbar.js";

const HINT = "Point at a feature. Arrow keys move, e steps through a feature's edges, Enter selects, Escape selects nothing.";
const EDIT_HINT = "Point at a feature. Arrow keys move, e steps through a feature's edges, Enter selects, u and d expand, 0, 1, 2 and 4 scale its activation, Escape selects nothing.";

/** @param {Scene} scene @param {Item} item */
const describe = ({ state, shown }, { type, index }) => (type === "node" ? nodeText(state, shown, index) : edgeText(state, index));

/** @type {import("../../graph_view.js").Layout<Scene>} */
export const lanes = {
  role: "feature flow", traits: TRAITS, read: readState, picture, toolbar, over: buttons, describe,
  scene(state, width, theme) {
    const shown = shownPart(state);
    const layout = layOut(state.graph.nodes, state.graph.edges, shown.nodes, width, state.mode);
    const routes = new Map(shown.edges.map((edge) => [edge.index, routeOf(layout, edge)]));
    return { state, shown, layout, routes, theme, width };
  },
  label: ({ state, shown }) => `${state.title || "Feature flow"}: ${shown.nodes.size} features, ${shown.edges.length} edges drawn. `
    + (state.mode === "edit" ? EDIT_HINT : HINT),
  emphasis(scene, { hover, reached }) {
    const { state, layout } = scene;
    const node = state.graph.nodeIndex.get(state.selected) ?? -1;
    const selected = layout.places.has(node) ? node : null;
    const item = hover ?? reached ?? (selected === null ? null : { type: "node", index: selected });
    return { marks: { item, selected }, words: item ? describe(scene, item) : state.mode === "edit" ? EDIT_HINT : HINT };
  },
  content: ({ state, shown }, { type, index }) => (type === "node" ? nodeContent(state, shown, index) : edgeContent(state, index)),
  edge: ({ state }, index) => state.graph.edges[index],
  edgesOf: ({ shown }, node) => shown.edges.filter((edge) => edge.source === node || edge.target === node)
    .sort((a, b) => b.weight - a.weight || a.index - b.index).map(({ index }) => index),
  start: ({ state: { graph, selected } }) => graph.nodeIndex.get(selected) ?? graph.nodes.findIndex((node) => node.root),
  clickable: (_, { type }) => type === "node",
  click: ({ state }, item) => ({ selected: item?.type === "node" ? state.graph.nodes[item.index].id : "" }),
  key({ state }, key, { type, index }) {
    if (key === "Escape") return { selected: "" };
    const factor = FACTORS.find((each) => String(each.factor) === key)?.factor;
    const way = { u: "up", d: "down" }[key];
    const editing = state.mode === "edit" && (way !== undefined || factor !== undefined);
    if (key !== "Enter" && key !== " " && !editing) return undefined;
    if (type === "edge") return null;
    const { id } = state.graph.nodes[index];
    if (way) return expanded(state, id, way);
    return factor === undefined ? { selected: id } : { selected: id, scales: scaled(state, id, factor) };
  },
};
