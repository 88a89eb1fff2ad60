/**
 * TokenFlow: one forward pass, a column a token and layers upwards, nodes read as words, and the signed
 * edges between them. The Python half is workbench/widgets/token_flow.py.
 *
 * @typedef {import("./token_flow/picture.js").Item} Item
 * @typedef {import("./token_flow/picture.js").Scene} Scene
 * @typedef {import("./token_flow/layout.js").Place} Place
 * @typedef {import("./lib/lifecycle.js").Model} Model
 */
import { nearestRoute } from "./lib/curves.js";
import { OWN_KEYS, frameScheduler, h } from "./lib/dom.js";
import { redrawOnChange } from "./lib/lifecycle.js";
import { moveNode } from "./lib/moving.js";
import { themeOf } from "./lib/theme.js";
import { tooltip } from "./lib/tooltip.js";
import { layOut, nodeAt, routeOf } from "./token_flow/layout.js";
import { panel } from "./token_flow/panel.js";
import { picture } from "./token_flow/picture.js";
import { TRAITS, chosen, matching, readState, shownPart, toggled } from "./token_flow/state.js";
import { edgeText, nodeText, pathText } from "./token_flow/text.js";
import { edgeContent, nodeContent } from "./token_flow/tip.js";
import { toolbar } from "./token_flow/toolbar.js";

export { StandInModel } from "./lib/stand_in.js";

/** How far from an edge the pointer may be. */
const REACH = 6;
/** `first`: a graph too wide for its frame is drawn this small, where that lets more of it be seen. */
const ZOOM = { least: 0.08, most: 2, step: 1.2, first: 0.85 };
const HINT = "Point at a node or an edge; click two nodes for the strongest path between them. Arrow keys move, e steps through a node's edges, Enter selects, Shift+Enter the other end, Escape nothing.";
const EDIT_HINT = `${HINT} A click on an edge, or x, cuts it.`;
let views = 0;

/**
 * Draws a view of the model into an element.
 * @param {{model: Model, el: HTMLElement}} context
 * @returns {() => void} takes the view apart
 */
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const drawing = picture(`token-flow-${(views += 1)}`);
  const title = h("div", { class: "token-flow__title" });
  const bar = toolbar(choose, (way) => resize(way === "fit" ? fitting() : zoom * (way === "in" ? ZOOM.step : 1 / ZOOM.step)));
  const scroller = h("div", {
    class: "token-flow__scroll", tabindex: 0, role: "application", "aria-roledescription": "information flow", ...OWN_KEYS,
  }, drawing.element);
  const status = h("div", { class: "token-flow__status", role: "status" });
  const stage = h("div", { class: "token-flow__stage" }, scroller, status);
  const readout = h("p", { class: "token-flow__readout", "aria-live": "polite" });
  const details = panel();
  const tip = tooltip("token-flow");
  const root = h("div", { class: "workbench-widget token-flow" }, title, bar.element, stage, readout, details.element, tip.element);
  el.append(root);

  const frame = frameScheduler(draw);
  let zoom = 1;
  let sized = false;
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

  /** @param {Partial<import("./token_flow/state.js").Choice>} changes */
  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  }

  function draw() {
    // The scroll bar's room is always kept free, so that no drawing changes it.
    const width = scroller.clientWidth;
    if (width <= 0) return;
    const theme = themeOf(root);
    const key = [...TRAITS.map((name) => model.get(name)), width, theme.background, theme.font];
    if (key.some((item, i) => item !== drawnFrom[i])) {
      drawnFrom = key;
      update(width, theme);
    }
    hover = present(hover);
    focus = present(focus);
    const { state, shown } = scene;
    const reached = byKey && hasFocus() ? focus : null;
    const [selected, other] = [state.selected, state.other].map((id) => state.graph.nodeIndex.get(id) ?? null);
    const both = selected !== null && other !== null && selected !== other;
    // An arrow key moves the focus away from what is selected; where it stands on it, the path is told.
    const pointed = hover ?? (reached?.type === "node" && reached.index === selected && both ? null : reached);
    const item = pointed ?? (selected !== null && shown.path === null ? { type: /** @type {const} */ ("node"), index: selected } : null);
    drawing.emphasise(scene, { item, path: both, selected, other, focus: reached });
    if (reached) scroller.setAttribute("aria-activedescendant", drawing.name(reached, describe(reached)));
    else scroller.removeAttribute("aria-activedescendant");
    const words = pointed ? describe(pointed) : both ? pathText(state, shown.path) : item ? describe(item) : state.mode === "edit" ? EDIT_HINT : HINT;
    if (readout.textContent !== words) readout.textContent = words;
  }

  /**
   * @param {number} width
   * @param {import("./lib/theme.js").Theme} theme
   */
  function update(width, theme) {
    const old = scene;
    const state = readState(model);
    const { graph } = state;
    const shown = shownPart(state);
    const layout = layOut(graph.nodes, graph.edges, graph.tokens.length, shown.nodes, width);
    const routes = new Map(shown.edges.map((edge) => [edge.index, routeOf(layout, edge)]));
    scene = { state, shown, layout, routes, theme, found: matching(state, shown), width };
    title.textContent = state.title;
    title.hidden = state.title === "";
    bar.update(state, shown, scene.found, theme);
    drawing.paint(scene);
    if (!sized) zoom = Math.max(ZOOM.first, Math.min(1, width / layout.width));
    // Before the frame is measured, which lays the picture out.
    drawing.resize(layout, zoom);
    if (!old || old.state.graph !== graph || old.width !== width) centre();
    drawing.hold(layout, scroller, zoom);
    details.update(state, graph.nodeIndex.get(state.selected) ?? null);
    if (told && present(told.item)) tell(told.item, told.at);
    else untell();
    status.textContent = state.status;
    stage.classList.toggle("is-stale", state.status !== "");
    stage.classList.toggle("is-error", state.status.startsWith("error"));
    root.classList.toggle("is-editing", state.mode === "edit");
    scroller.setAttribute("aria-label", `${state.title || "Information flow"}: ${shown.nodes.size} nodes, ${shown.edges.length} edges drawn. `
      + (state.mode === "edit" ? EDIT_HINT : HINT));
  }

  /** Puts what is selected, or the last root, in the middle of a frame that is too small for the graph. */
  function centre() {
    const place = scene.layout.places.get(start() ?? -1);
    if (place) scroller.scrollTo({ left: place.x * zoom - scroller.clientWidth / 2, top: place.y * zoom - scroller.clientHeight / 2, behavior: "instant" });
  }

  /** The size at which the whole graph shows, or where it shows already, its own. */
  function fitting() {
    const { width, height } = scene.layout;
    const room = parseFloat(getComputedStyle(scroller).maxHeight) - 2;
    const whole = Math.min(1, scroller.clientWidth / width, (room || height) / height);
    return Math.abs(zoom - whole) < 1e-6 ? 1 : whole;
  }

  /**
   * @param {number} wanted
   * @param {{x: number, y: number}} [at] point of the frame that keeps its place, the middle where absent
   */
  function resize(wanted, at = { x: scroller.clientWidth / 2, y: scroller.clientHeight / 2 }) {
    const old = zoom;
    sized = true;
    zoom = Math.min(ZOOM.most, Math.max(ZOOM.least, wanted));
    const [x, y] = [(scroller.scrollLeft + at.x) / old, (scroller.scrollTop + at.y) / old];
    untell();
    drawing.resize(scene.layout, zoom);
    scroller.scrollTo({ left: x * zoom - at.x, top: y * zoom - at.y, behavior: "instant" });
    drawing.hold(scene.layout, scroller, zoom);
  }

  /** @param {Item} item */
  const describe = ({ type, index }) =>
    (type === "edge" ? edgeText(scene.state, scene.state.graph.edges[index]) : nodeText(scene.state, scene.shown, index));

  /** The item if it is drawn. @param {Item | null} item */
  function present(item) {
    if (!item) return null;
    return (item.type === "node" ? scene.layout.places.has(item.index) : scene.routes.has(item.index)) ? item : null;
  }

  function hasFocus() {
    return /** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement === scroller;
  }

  /** Where the keyboard starts: the selected node, else the last root. */
  function start() {
    const { graph, selected, roots } = scene.state;
    const first = graph.nodeIndex.get(selected) ?? graph.nodeIndex.get(roots.at(-1) ?? "") ?? -1;
    return scene.layout.places.has(first) ? first : scene.layout.places.keys().next().value ?? null;
  }

  /**
   * @param {Item} item
   * @returns {DOMRect} its box, or the middle of its line, in the coordinates of the window
   */
  function placeOf({ type, index }) {
    const { x: left, y: top } = drawing.element.getBoundingClientRect();
    if (type === "edge") {
      const { x, y } = /** @type {import("./lib/curves.js").Route} */ (scene.routes.get(index)).middle;
      return new DOMRect(left + x * zoom - 6, top + y * zoom - 6, 12, 12);
    }
    const { x, y, width, height } = /** @type {Place} */ (scene.layout.places.get(index));
    return new DOMRect(left + (x - width / 2) * zoom, top + (y - height / 2) * zoom, width * zoom, height * zoom);
  }

  /**
   * @param {Item} item
   * @param {DOMRect} at
   */
  function tell(item, at) {
    told = { item, at };
    const { state, shown } = scene;
    tip.show(item.type === "node" ? nodeContent(state, shown, item.index) : edgeContent(state, state.graph.edges[item.index]), at);
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
    // The names at the frame's edges lie over the graph.
    if (event.target instanceof Element && event.target.closest(".token-flow__layers, .token-flow__tokens")) return null;
    const box = drawing.element.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.x) / zoom, (event.clientY - box.y) / zoom];
    const node = nodeAt(scene.layout, x, y);
    if (node !== null) return { type: "node", index: node };
    const { edges } = scene.shown;
    const edge = nearestRoute(edges.map(({ index }) => /** @type {import("./lib/curves.js").Route} */ (scene.routes.get(index))), x, y, REACH / zoom);
    return edge < 0 ? null : { type: "edge", index: edges[edge].index };
  }

  /** @param {Item} item */
  function cut({ type, index }) {
    if (type === "edge" && scene.state.mode === "edit") choose({ cuts: toggled(scene.state, scene.state.graph.edges[index].id) });
  }

  /** @param {number} index @param {boolean} shift */
  const select = (index, shift) => choose(chosen(scene.state, scene.state.graph.nodes[index].id, shift));

  function leave() {
    untell();
    if (!hover) return;
    hover = null;
    frame.request();
  }

  /** Steps from a node to its drawn edge of the greatest share, to the next, and after the last back to the node. @param {number} step */
  function stepEdge(step) {
    if (!focus) return;
    const { graph } = scene.state;
    const from = focus.type === "node" ? focus.index : (origin ?? graph.edges[focus.index].source);
    const own = [...graph.into[from], ...graph.out[from]].filter((edge) => scene.routes.has(edge.index));
    const now = focus.type === "edge" ? own.findIndex((edge) => edge.index === focus?.index) : step > 0 ? -1 : own.length;
    const next = own[now + step];
    origin = from;
    focus = next ? { type: "edge", index: next.index } : { type: "node", index: from };
  }

  function bringIntoView() {
    if (!focus) return;
    const at = placeOf(focus);
    const view = scroller.getBoundingClientRect();
    // Beside the names of layers and above the tokens, which are held at the edges.
    const [x, y] = [
      Math.min(0, at.left - 70 * zoom - view.left) + Math.max(0, at.right + 30 - view.right),
      Math.min(0, at.top - 30 - view.top) + Math.max(0, at.bottom + 60 * zoom - view.bottom),
    ];
    if (x !== 0 || y !== 0) scroller.scrollBy({ left: x, top: y, behavior: "instant" });
    drawing.hold(scene.layout, scroller, zoom);
  }

  scroller.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    byKey = false;
    const found = under(event);
    scroller.style.cursor = found?.type === "node" || (found && scene.state.mode === "edit") ? "pointer" : "default";
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
    if (found?.type === "node") select(found.index, event.shiftKey);
    else if (found) cut(found);
    else choose({ selected: "", other: "" });
    // The path lies below what is pointed at: it shows when the pointer has clicked, not only when it leaves.
    hover = null;
    untell();
    frame.request();
  }, listening);
  scroller.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = scroller.getBoundingClientRect();
    resize(zoom * Math.exp(-0.002 * Math.max(-100, Math.min(100, event.deltaY))), { x: event.clientX - box.x, y: event.clientY - box.y });
  }, { ...listening, passive: false });
  scroller.addEventListener("scroll", () => {
    drawing.hold(scene.layout, scroller, zoom);
    if (!byKey) leave();
  }, { ...listening, passive: true });
  scroller.addEventListener("focus", () => {
    const first = start();
    focus ??= first === null ? null : { type: "node", index: first };
    byKey = scroller.matches(":focus-visible");
    frame.request();
  }, listening);
  scroller.addEventListener("blur", () => {
    untell();
    frame.request();
  }, listening);
  scroller.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== scroller) return;
    const first = start();
    focus = present(focus) ?? (first === null ? null : { type: "node", index: first });
    if (!focus) return;
    if (event.key.startsWith("Arrow")) {
      const from = focus.type === "node" ? focus.index : (origin ?? scene.state.graph.edges[focus.index].source);
      const index = focus.type === "edge" ? from : moveNode(scene.layout, from, event.key, (a, b) => a.column === b.column);
      focus = { type: "node", index };
      origin = index;
    } else if (event.key.toLowerCase() === "e") stepEdge(event.shiftKey ? -1 : 1);
    else if (event.key === "Enter" || event.key === " ") {
      if (focus.type === "node") select(focus.index, event.shiftKey);
    } else if (event.key === "x" || event.key === "Delete" || event.key === "Backspace") cut(focus);
    else if (event.key === "Escape") choose({ selected: "", other: "" });
    else if (event.key === "+" || event.key === "-") resize(zoom * (event.key === "+" ? ZOOM.step : 1 / ZOOM.step));
    else if (event.key === "0") resize(fitting());
    else return;
    // The notebook has its own arrow keys, x and Escape: they must not act on its cells too.
    event.preventDefault();
    event.stopPropagation();
    byKey = true;
    hover = null;
    draw();
    bringIntoView();
    if (event.key.startsWith("Arrow") || focus.type === "edge") tell(focus, placeOf(focus));
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
