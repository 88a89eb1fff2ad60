/**
 * CircuitGraph: a model's components, layers upwards, and the edges between them. The Python half is
 * workbench/widgets/circuit_graph.py.
 *
 * @typedef {import("./circuit_graph/picture.js").Item} Item
 * @typedef {import("./circuit_graph/picture.js").Scene} Scene
 * @typedef {import("./circuit_graph/state.js").State} State
 * @typedef {import("./lib/lifecycle.js").Model} Model
 */
import { OWN_KEYS, frameScheduler, h } from "./lib/dom.js";
import { nearestRoute } from "./lib/curves.js";
import { redrawOnChange } from "./lib/lifecycle.js";
import { tooltip } from "./lib/tooltip.js";
import { boxOf, layOut, moveNode, nodeAt } from "./circuit_graph/layout.js";
import { routeEdges } from "./circuit_graph/routes.js";
import { picture } from "./circuit_graph/picture.js";
import { TRAITS, edgeAt, findEdge, readState, shownEdges, toggleCut } from "./circuit_graph/state.js";
import { edgeText, nodeText } from "./circuit_graph/text.js";
import { edgeContent, nodeContent } from "./circuit_graph/tip.js";
import { toolbar } from "./circuit_graph/toolbar.js";

export { StandInModel } from "./lib/stand_in.js";

/** How far from an edge the pointer may be. */
const REACH = 7;
const HINT = "Point at a component or an edge. Arrow keys move, e steps through a component's edges, Enter selects, x cuts.";
let views = 0;

/**
 * Draws a view of the model into an element.
 * @param {{model: Model, el: HTMLElement}} context
 * @returns {() => void} takes the view apart
 */
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const prefix = `circuit-graph-${(views += 1)}`;
  const drawing = picture(prefix);
  const title = h("div", { class: "circuit-graph__title" });
  const bar = toolbar(`${prefix}-mode`, choose);
  const scroller = h("div", {
    class: "circuit-graph__scroll", tabindex: 0, role: "application", "aria-roledescription": "circuit graph", ...OWN_KEYS,
  }, drawing.element);
  const status = h("div", { class: "circuit-graph__status", role: "status" });
  const stage = h("div", { class: "circuit-graph__stage" }, scroller, status);
  const readout = h("p", { class: "circuit-graph__readout", "aria-live": "polite" });
  const tip = tooltip("circuit-graph");
  const root = h("div", { class: "workbench-widget circuit-graph" }, title, bar.element, stage, readout, tip.element);
  el.append(root);

  const frame = frameScheduler(draw);
  const probe = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d", { willReadFrequently: true }));
  /** @type {Scene} */
  let scene;
  /** @type {unknown[]} */
  let drawnFrom = [];
  /** @type {Item | null} */
  let hover = null;
  /** @type {Item | null} */
  let focus = null;
  /** The node whose edges are stepped through. @type {number | null} */
  let origin = null;
  /** What the tooltip tells of, and where. @type {{item: Item, at: DOMRect} | null} */
  let told = null;
  /** Whether the last thing that the user touched was a key: only then the focus is brought out. */
  let byKey = false;

  /** @param {Partial<import("./circuit_graph/state.js").Choice>} changes */
  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  }

  /** @returns {import("./circuit_graph/picture.js").Theme} */
  function theme() {
    const style = getComputedStyle(root);
    probe.fillStyle = style.getPropertyValue("--workbench-background").trim();
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    return { background: `rgb(${r}, ${g}, ${b})`, font: style.fontFamily };
  }

  function draw() {
    // The scroll bar's room is always kept free, so that no drawing changes it.
    const width = scroller.clientWidth;
    if (width <= 0) return;
    const state = readState(model);
    const look = theme();
    const key = [...TRAITS.map((name) => model.get(name)), width, look.background, look.font];
    if (key.some((item, i) => item !== drawnFrom[i])) {
      drawnFrom = key;
      update(state, width, look);
    }
    hover = present(hover);
    focus = present(focus);
    const reached = byKey && hasFocus() ? focus : null;
    const selected = present(itemOf(state.selected));
    drawing.emphasise(scene, hover ?? reached ?? selected, { selected, focus: reached });
    if (reached) scroller.setAttribute("aria-activedescendant", drawing.name(reached, describe(reached)));
    else scroller.removeAttribute("aria-activedescendant");
    const spoken = hover ?? reached ?? selected;
    const words = spoken ? describe(spoken) : HINT;
    if (readout.textContent !== words) readout.textContent = words;
  }

  /**
   * @param {State} state
   * @param {number} width
   * @param {import("./circuit_graph/picture.js").Theme} look
   */
  function update(state, width, look) {
    const same = scene && scene.state.graph === state.graph && scene.width === width;
    const layout = same ? scene.layout : layOut(state.graph.nodes, width, state.graph.hasChannels);
    const shown = shownEdges(state);
    const kept = same && shown.length === scene.shown.length && shown.every((edge, i) => edge.index === scene.shown[i].index);
    scene = { state, layout, shown, width, routes: kept ? scene.routes : routeEdges(layout, shown), theme: look };
    title.textContent = state.title;
    title.hidden = state.title === "";
    bar.update(state, shown, look);
    drawing.paint(scene);
    if (told && present(told.item)) tell(told.item, told.at);
    else untell();
    status.textContent = state.status;
    stage.classList.toggle("is-stale", state.status !== "");
    stage.classList.toggle("is-error", state.status.startsWith("error"));
    root.classList.toggle("is-cutting", state.mode === "cut");
    const action = state.mode === "cut" ? "cuts it, or restores it" : "selects it";
    scroller.setAttribute("aria-label", `${state.title || "Circuit graph"}: ${state.graph.nodes.length} components, ${shown.length} edges drawn. `
      + `A click ${action}. Arrow keys move, e steps through a component's edges, Enter selects, x cuts, Escape selects nothing.`);
  }

  /** @param {Item} item */
  function describe(item) {
    const { state, shown } = scene;
    if (item.type === "edge") return edgeText(state, edgeAt(state.graph, item.index));
    const drawn = {
      into: shown.filter((edge) => edge.target === item.index).length,
      out: shown.filter((edge) => edge.source === item.index).length,
    };
    return nodeText(state, state.graph.nodes[item.index], drawn);
  }

  /**
   * The item if it is drawn.
   * @param {Item | null} item
   */
  function present(item) {
    if (!item) return null;
    const there = item.type === "node" ? item.index < scene.layout.places.length : scene.shown.some((edge) => edge.index === item.index);
    return there ? item : null;
  }

  /**
   * @param {string} id
   * @returns {Item | null}
   */
  function itemOf(id) {
    const { graph } = scene.state;
    const node = graph.nodeIndex.get(id);
    if (node !== undefined) return { type: "node", index: node };
    const edge = findEdge(graph, id);
    return edge < 0 ? null : { type: "edge", index: edge };
  }

  /** @param {Item} item */
  const idOf = ({ type, index }) => (type === "node" ? scene.state.graph.nodes[index].id : edgeAt(scene.state.graph, index).id);

  function hasFocus() {
    return /** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement === scroller;
  }

  /**
   * @param {Item} item
   * @returns {DOMRect} its box, or the middle of its line, in the coordinates of the window
   */
  function placeOf(item) {
    const frameBox = drawing.element.getBoundingClientRect();
    if (item.type === "node") {
      const box = boxOf(scene.layout.places[item.index]);
      return new DOMRect(frameBox.x + box.left, frameBox.y + box.top, box.right - box.left, box.bottom - box.top);
    }
    const { middle } = scene.routes[scene.shown.findIndex((edge) => edge.index === item.index)];
    return new DOMRect(frameBox.x + middle.x - 6, frameBox.y + middle.y - 6, 12, 12);
  }

  /**
   * @param {Item} item
   * @param {DOMRect} at
   */
  function tell(item, at) {
    told = { item, at };
    const { state, shown } = scene;
    tip.show(item.type === "node" ? nodeContent(state, item.index, shown) : edgeContent(state, edgeAt(state.graph, item.index)), at);
  }

  function untell() {
    told = null;
    tip.hide();
  }

  /**
   * @param {MouseEvent} event
   * @returns {Item | null}
   */
  function under(event) {
    const box = drawing.element.getBoundingClientRect();
    const [x, y] = [event.clientX - box.x, event.clientY - box.y];
    const node = nodeAt(scene.layout, x, y);
    if (node >= 0) return { type: "node", index: node };
    const edge = nearestRoute(scene.routes, x, y, REACH);
    return edge < 0 ? null : { type: "edge", index: scene.shown[edge].index };
  }

  /** @param {Item} item */
  function cut(item) {
    const changes = toggleCut(scene.state, idOf(item));
    if (changes) choose(changes);
  }

  function leave() {
    untell();
    if (!hover) return;
    hover = null;
    frame.request();
  }

  /** Steps from a node to its strongest drawn edge, to the next, and after the last back to the node. @param {number} step */
  function stepEdge(step) {
    if (!focus) return;
    const start = focus.type === "node" ? focus.index : (origin ?? edgeAt(scene.state.graph, focus.index).source);
    const own = scene.shown.filter((edge) => edge.source === start || edge.target === start);
    const now = focus.type === "edge" ? own.findIndex((edge) => edge.index === focus?.index) : step > 0 ? -1 : own.length;
    const next = own[now + step];
    origin = start;
    focus = next ? { type: "edge", index: next.index } : { type: "node", index: start };
  }

  /** The node that the arrow keys start from. */
  function standing() {
    if (focus?.type === "node") return focus.index;
    return origin ?? 0;
  }

  function bringIntoView() {
    if (!focus) return;
    const at = placeOf(focus);
    const view = scroller.getBoundingClientRect();
    const room = 40;
    const [x, y] = [
      Math.min(0, at.left - room - view.left) + Math.max(0, at.right + room - view.right),
      Math.min(0, at.top - room - view.top) + Math.max(0, at.bottom + room - view.bottom),
    ];
    if (x !== 0 || y !== 0) scroller.scrollBy({ left: x, top: y, behavior: "instant" });
  }

  scroller.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    byKey = false;
    const found = under(event);
    scroller.style.cursor = found ? "pointer" : "default";
    if (!found) leave();
    else if (found.type !== hover?.type || found.index !== hover.index) {
      hover = found;
      tell(found, found.type === "node" ? placeOf(found) : new DOMRect(event.clientX - 6, event.clientY - 6, 12, 12));
      frame.request();
    }
  }, listening);
  scroller.addEventListener("pointerleave", leave, listening);
  scroller.addEventListener("click", (event) => {
    byKey = false;
    const found = under(event);
    focus = found ?? focus;
    origin = found?.type === "node" ? found.index : null;
    if (!found) choose({ selected: "" });
    else if (event.shiftKey || scene.state.mode === "cut") cut(found);
    else choose({ selected: idOf(found) });
    // What it says of the item may have changed with the click.
    untell();
    frame.request();
  }, listening);
  scroller.addEventListener("scroll", () => {
    if (!byKey) leave();
  }, { ...listening, passive: true });
  scroller.addEventListener("focus", () => {
    focus ??= present(itemOf(scene.state.selected)) ?? { type: "node", index: 0 };
    byKey = scroller.matches(":focus-visible");
    frame.request();
  }, listening);
  scroller.addEventListener("blur", () => {
    untell();
    frame.request();
  }, listening);
  scroller.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    focus ??= { type: "node", index: 0 };
    if (event.key.startsWith("Arrow")) {
      focus = { type: "node", index: focus.type === "edge" ? standing() : moveNode(scene.layout, focus.index, event.key) };
      origin = focus.index;
    } else if (event.key.toLowerCase() === "e") {
      stepEdge(event.shiftKey ? -1 : 1);
    } else if (event.key === "Enter" || event.key === " ") {
      choose({ selected: idOf(focus) });
    } else if (event.key === "x" || event.key === "Delete" || event.key === "Backspace") {
      cut(focus);
    } else if (event.key === "Escape") {
      choose({ selected: "" });
    } else {
      return;
    }
    // The notebook has its own arrow keys, x and Escape: they must not act on its cells too.
    event.preventDefault();
    event.stopPropagation();
    byKey = true;
    hover = null;
    draw();
    bringIntoView();
    if (focus && event.key !== "Escape") tell(focus, placeOf(focus));
    else untell();
  }, listening);
  addEventListener("scroll", (event) => {
    if (event.target !== scroller) untell();
  }, { ...listening, capture: true, passive: true });

  const close = redrawOnChange({ model, traits: TRAITS, root, frame, stopped });
  draw();
  return close;
}

export default { render };
