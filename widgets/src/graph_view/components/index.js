/**
 * A model's components, the embedding at the bottom and the logits at the top, and the strongest edges.
 *
 * @typedef {import("./picture.js").Scene} Scene
 * @typedef {import("../../graph_view.js").Item} Item
 */
import { layOut } from "./layout.js";
import { picture } from "./picture.js";
import { routeEdges } from "./routes.js";
import { TRAITS, edgeAt, findEdge, readState, shownEdges, toggleCut } from "./state.js";
import { edgeText, nodeText } from "./text.js";
import { edgeContent, nodeContent } from "./tip.js";
import { toolbar } from "./toolbar.js";

const HINT = "Point at a component or an edge. Arrow keys move, e steps through a component's edges, Enter selects, x cuts.";

/** @param {Scene} scene @param {Item} item */
const idOf = ({ state }, { type, index }) => (type === "node" ? state.graph.nodes[index].id : edgeAt(state.graph, index).id);

/**
 * The item that is selected, if it is drawn.
 * @param {Scene} scene
 * @returns {Item | null}
 */
function selectedOf({ state: { graph, selected }, routes }) {
  const node = graph.nodeIndex.get(selected);
  if (node !== undefined) return { type: "node", index: node };
  const edge = findEdge(graph, selected);
  return routes.has(edge) ? { type: "edge", index: edge } : null;
}

/** @param {Scene} scene @param {Item} item */
function describe({ state, shown }, { type, index }) {
  if (type === "edge") return edgeText(state, edgeAt(state.graph, index));
  const drawn = {
    into: shown.filter((edge) => edge.target === index).length,
    out: shown.filter((edge) => edge.source === index).length,
  };
  return nodeText(state, state.graph.nodes[index], drawn);
}

/** @type {import("../../graph_view.js").Layout<Scene>} */
export const components = {
  role: "circuit graph", traits: TRAITS, read: readState, picture, toolbar, describe,
  scene(state, width, theme, old) {
    const same = old && old.state.graph === state.graph && old.width === width;
    const layout = same ? old.layout : layOut(state.graph.nodes, width, state.graph.hasChannels);
    const shown = shownEdges(state);
    return { state, layout, shown, width, routes: routeEdges(layout, shown), theme };
  },
  label({ state, shown }) {
    const action = state.mode === "cut" ? "cuts it, or restores it" : "selects it";
    return `${state.title || "Circuit graph"}: ${state.graph.nodes.length} components, ${shown.length} edges drawn. `
      + `A click ${action}. Arrow keys move, e steps through a component's edges, Enter selects, x cuts, Escape selects nothing.`;
  },
  emphasis(scene, { hover, reached }) {
    const selected = selectedOf(scene);
    const item = hover ?? reached ?? selected;
    return { marks: { item, selected }, words: item ? describe(scene, item) : HINT };
  },
  content: ({ state, shown }, { type, index }) => (type === "node" ? nodeContent(state, index, shown) : edgeContent(state, edgeAt(state.graph, index))),
  edge: ({ state }, index) => edgeAt(state.graph, index),
  edgesOf: ({ shown }, node) => shown.filter((edge) => edge.source === node || edge.target === node).map(({ index }) => index),
  start: ({ state }) => state.graph.nodeIndex.get(state.selected),
  clickable: () => true,
  click(scene, item, shift) {
    if (!item) return { selected: "" };
    return shift || scene.state.mode === "cut" ? toggleCut(scene.state, idOf(scene, item)) : { selected: idOf(scene, item) };
  },
  key(scene, key, item) {
    if (key === "Enter" || key === " ") return { selected: idOf(scene, item) };
    if (key === "x" || key === "Delete" || key === "Backspace") return toggleCut(scene.state, idOf(scene, item));
    return key === "Escape" ? { selected: "" } : undefined;
  },
};
