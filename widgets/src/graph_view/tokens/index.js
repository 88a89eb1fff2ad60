/**
 * One forward pass: a column a token, nodes read as words, and the signed edges between them.
 *
 * @typedef {import("./picture.js").Scene} Scene
 * @typedef {import("../../graph_view.js").Item} Item
 */
import { layOut, routeOf } from "./layout.js";
import { panel } from "./panel.js";
import { picture } from "./picture.js";
import { toggled } from "../parts.js";
import { TRAITS, chosen, matching, readState, shownPart } from "./state.js";
import { edgeText, nodeText, pathText } from "./text.js";
import { edgeContent, nodeContent } from "./tip.js";
import { toolbar } from "./toolbar.js";

const HINT = "Point at a node or an edge; click two nodes for the strongest path between them. Arrow keys move, e steps through a node's edges, Enter selects, Shift+Enter the other end, Escape nothing.";
const EDIT_HINT = `${HINT} A click on an edge, or x, cuts it.`;

/** @param {Scene} scene @param {Item} item */
const describe = ({ state, shown }, { type, index }) => (type === "edge" ? edgeText(state, state.graph.edges[index]) : nodeText(state, shown, index));

/** Cuts an edge or restores it, where something answers. @param {Scene} scene @param {Item} item */
const cut = ({ state }, { type, index }) =>
  (type === "edge" && state.mode === "edit" ? { cut_edges: toggled(state.cuts, state.graph.edges[index].id) } : null);

/** @type {import("../../graph_view.js").Layout<Scene>} */
export const tokens = {
  role: "information", traits: TRAITS, read: readState, picture, toolbar, below: panel, describe, zooms: true,
  // The path lies below what is pointed at: it shows when the pointer has clicked, not only when it leaves.
  letsGo: true,
  scene(state, width, theme) {
    const { graph } = state;
    const shown = shownPart(state);
    const layout = layOut(graph.nodes, graph.edges, graph.tokens.length, shown.nodes, width);
    const routes = new Map(shown.edges.map((edge) => [edge.index, routeOf(layout, edge)]));
    return { state, shown, layout, routes, theme, found: matching(state, shown), width };
  },
  label: ({ state, shown }) => `${state.title || "Information flow"}: ${shown.nodes.size} nodes, ${shown.edges.length} edges drawn. `
    + (state.mode === "edit" ? EDIT_HINT : HINT),
  emphasis(scene, { hover, reached }) {
    const { state, shown } = scene;
    const [selected, other] = [state.selected, state.other].map((id) => state.graph.nodeIndex.get(id) ?? null);
    const both = selected !== null && other !== null && selected !== other;
    // An arrow key moves the focus away from what is selected; where it stands on it, the path is told.
    const pointed = hover ?? (reached?.type === "node" && reached.index === selected && both ? null : reached);
    const item = pointed ?? (selected !== null && shown.path === null ? { type: /** @type {const} */ ("node"), index: selected } : null);
    const hint = state.mode === "edit" ? EDIT_HINT : HINT;
    const words = pointed ? describe(scene, pointed) : both ? pathText(state, shown.path) : item ? describe(scene, item) : hint;
    return { marks: { item, path: both, selected, other }, words };
  },
  content: ({ state, shown }, { type, index }) => (type === "node" ? nodeContent(state, shown, index) : edgeContent(state, state.graph.edges[index])),
  edge: ({ state }, index) => state.graph.edges[index],
  edgesOf: ({ state: { graph }, routes }, node) => [...graph.into[node], ...graph.out[node]].map(({ index }) => index).filter((index) => routes.has(index)),
  start: ({ state: { graph, selected, roots } }) => graph.nodeIndex.get(selected) ?? graph.nodeIndex.get(roots.at(-1) ?? ""),
  clickable: ({ state }, { type }) => type === "node" || state.mode === "edit",
  click(scene, item, shift) {
    if (item?.type === "edge") return cut(scene, item);
    return chosen(scene.state, item ? scene.state.graph.nodes[item.index].id : "", shift);
  },
  key(scene, key, item, shift) {
    if (key === "Escape") return chosen(scene.state, "", false);
    if (key === "x" || key === "Delete" || key === "Backspace") return cut(scene, item);
    if (key !== "Enter" && key !== " ") return undefined;
    return item.type === "node" ? chosen(scene.state, scene.state.graph.nodes[item.index].id, shift) : null;
  },
  beside: (a, b) => /** @type {import("./layout.js").Place} */ (a).column === /** @type {import("./layout.js").Place} */ (b).column,
};
