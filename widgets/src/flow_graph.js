/**
 * FlowGraph: features of dictionaries, layers upwards, in three lanes, and how similar each is to those
 * before it. The Python half is workbench/widgets/flow_graph.py.
 *
 * @typedef {import("./flow_graph/picture.js").Scene} Scene
 * @typedef {import("./lib/lifecycle.js").Model} Model
 */
import { OWN_KEYS, frameScheduler, h } from "./lib/dom.js";
import { redrawOnChange } from "./lib/lifecycle.js";
import { moveNode } from "./lib/moving.js";
import { tooltip } from "./lib/tooltip.js";
import { FACTORS, buttons } from "./flow_graph/buttons.js";
import { layOut } from "./flow_graph/layout.js";
import { picture } from "./flow_graph/picture.js";
import { TRAITS, readState, scaled, shownPart } from "./flow_graph/state.js";
import { nodeText } from "./flow_graph/text.js";
import { edgeContent, nodeContent } from "./flow_graph/tip.js";
import { toolbar } from "./flow_graph/toolbar.js";

export { StandInModel } from "./lib/stand_in.js";

const HINT = "Point at a feature. Arrow keys move, Enter selects, Escape selects nothing.";
const EDIT_HINT = "Point at a feature. Arrow keys move, Enter selects, u and d expand, 0, 1, 2 and 4 scale its activation, Escape selects nothing.";
let views = 0;

/**
 * Draws a view of the model into an element.
 * @param {{model: Model, el: HTMLElement}} context
 * @returns {() => void} takes the view apart
 */
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const drawing = picture(`flow-graph-${(views += 1)}`);
  const title = h("div", { class: "flow-graph__title" });
  const bar = toolbar(choose);
  const tools = buttons({
    expand: (way) => expand(state().selected, way),
    scale: (factor) => scale(state().selected, factor),
  });
  const surface = h("div", { class: "flow-graph__surface" }, drawing.element, ...tools.elements);
  const scroller = h("div", {
    class: "flow-graph__scroll", tabindex: 0, role: "application", "aria-roledescription": "feature flow", ...OWN_KEYS,
  }, surface);
  const status = h("div", { class: "flow-graph__status", role: "status" });
  const stage = h("div", { class: "flow-graph__stage" }, scroller, status);
  const readout = h("p", { class: "flow-graph__readout", "aria-live": "polite" });
  const tip = tooltip("flow-graph");
  const root = h("div", { class: "workbench-widget flow-graph" }, title, bar.element, stage, readout, tip.element);
  el.append(root);

  const frame = frameScheduler(draw);
  /** @type {Scene} */
  let scene;
  /** @type {unknown[]} */
  let drawnFrom = [];
  /** Numbers of nodes. @type {number | null} */
  let hover = null;
  /** @type {number | null} */
  let focus = null;
  /** The element that the tooltip tells of. @type {{node: number} | {edge: number} | null} */
  let told = null;
  /** Whether the last thing that the user touched was a key: only then the focus is brought out. */
  let byKey = false;

  const state = () => readState(model);

  /** @param {Partial<import("./flow_graph/state.js").Choice>} changes */
  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  }

  /**
   * @param {string} id
   * @param {"up" | "down"} way
   */
  function expand(id, way) {
    if (id && state().mode === "edit") choose({ selected: id, expand: [id, way, state().wishes + 1] });
  }

  /**
   * @param {string} id
   * @param {number} factor
   */
  function scale(id, factor) {
    if (id && state().mode === "edit") choose({ selected: id, scales: scaled(state(), id, factor) });
  }

  function draw() {
    // The scroll bar's room is always kept free, so that no drawing changes it.
    const width = scroller.clientWidth;
    if (width <= 0) return;
    const { fontFamily: font } = getComputedStyle(root);
    const key = [...TRAITS.map((name) => model.get(name)), width, font];
    if (key.some((item, i) => item !== drawnFrom[i])) {
      drawnFrom = key;
      update(width, font);
    }
    hover = present(hover);
    focus = present(focus);
    const reached = byKey && hasFocus() ? focus : null;
    const selected = present(scene.state.graph.nodeIndex.get(scene.state.selected) ?? null);
    const spoken = hover ?? reached ?? selected;
    drawing.emphasise(scene, { bright: spoken, selected, focus: reached });
    if (reached !== null) scroller.setAttribute("aria-activedescendant", drawing.name(reached, describe(reached)));
    else scroller.removeAttribute("aria-activedescendant");
    const words = spoken === null ? (scene.state.mode === "edit" ? EDIT_HINT : HINT) : describe(spoken);
    if (readout.textContent !== words) readout.textContent = words;
  }

  /**
   * @param {number} width
   * @param {string} font
   */
  function update(width, font) {
    const now = state();
    const shown = shownPart(now);
    const layout = layOut(now.graph.nodes, now.graph.edges, shown.nodes, width, now.mode);
    const old = scene;
    scene = { state: now, shown, layout, font, width };
    title.textContent = now.title;
    title.hidden = now.title === "";
    bar.update(now, shown);
    drawing.paint(scene);
    if (!old || old.state.graph !== now.graph || old.width !== width) centre();
    drawing.hold(layout, scroller);
    tools.update(now, layout, present(now.graph.nodeIndex.get(now.selected) ?? null));
    retell();
    status.textContent = now.status;
    stage.classList.toggle("is-stale", now.status !== "");
    stage.classList.toggle("is-error", now.status.startsWith("error"));
    scroller.setAttribute("aria-label", `${now.title || "Feature flow"}: ${shown.nodes.size} features, ${shown.edges.length} edges drawn. `
      + (now.mode === "edit" ? EDIT_HINT : HINT));
  }

  /** Puts what is selected, or was asked for, in the middle of a frame that is too small for the graph. */
  function centre() {
    const first = start();
    if (first === null) return;
    const { x, y } = /** @type {import("./flow_graph/layout.js").Place} */ (scene.layout.places.get(first));
    scroller.scrollTo({ left: x - scroller.clientWidth / 2, top: y - scroller.clientHeight / 2, behavior: "instant" });
  }

  /** @param {number} index */
  const describe = (index) => nodeText(scene.state, scene.shown, index);

  /** The node if it is drawn. @param {number | null} index */
  const present = (index) => (index !== null && scene.layout.places.has(index) ? index : null);

  function hasFocus() {
    return /** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement === scroller;
  }

  /**
   * A node's box in the coordinates of the window.
   * @param {number} index
   */
  function boxOf(index) {
    const frameBox = drawing.element.getBoundingClientRect();
    const { nodeWidth, nodeHeight, places } = scene.layout;
    const { x, y } = /** @type {import("./flow_graph/layout.js").Place} */ (places.get(index));
    return new DOMRect(frameBox.x + x - nodeWidth / 2, frameBox.y + y - nodeHeight / 2, nodeWidth, nodeHeight);
  }

  /** @param {number} index */
  function tellNode(index) {
    told = { node: index };
    tip.show(nodeContent(scene.state, scene.shown, index), boxOf(index));
  }

  function untell() {
    told = null;
    tip.hide();
  }

  /** After new data: what is told is told anew, or no longer there. */
  function retell() {
    if (told && "node" in told && present(told.node) !== null) tellNode(told.node);
    else untell();
  }

  /**
   * @param {Event} event
   * @param {string} kind "node" or "edge"
   */
  function under(event, kind) {
    const found = event.target instanceof Element ? event.target.closest(`[data-${kind}]`) : null;
    return found && drawing.element.contains(found) ? Number(found.getAttribute(`data-${kind}`)) : null;
  }

  function leave() {
    untell();
    if (hover === null) return;
    hover = null;
    frame.request();
  }

  function bringIntoView() {
    if (focus === null) return;
    const at = boxOf(focus);
    const view = scroller.getBoundingClientRect();
    const room = 34;
    const [x, y] = [
      Math.min(0, at.left - room - view.left) + Math.max(0, at.right + room - view.right),
      Math.min(0, at.top - room - view.top) + Math.max(0, at.bottom + room - view.bottom),
    ];
    if (x !== 0 || y !== 0) scroller.scrollBy({ left: x, top: y, behavior: "instant" });
  }

  scroller.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    byKey = false;
    const node = under(event, "node");
    const edge = under(event, "edge");
    if (node !== null) {
      if (hover !== node) {
        hover = node;
        tellNode(node);
        frame.request();
      }
    } else if (edge !== null) {
      if (hover !== null) leave();
      told = { edge };
      tip.show(edgeContent(scene.state, edge), new DOMRect(event.clientX - 6, event.clientY - 6, 12, 12));
    } else {
      leave();
    }
  }, listening);
  scroller.addEventListener("pointerleave", leave, listening);
  surface.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("button")) return;
    byKey = false;
    const node = under(event, "node");
    focus = node ?? focus;
    choose({ selected: node === null ? "" : scene.state.graph.nodes[node].id });
    // It would lie over the buttons that appear.
    untell();
    frame.request();
  }, listening);
  scroller.addEventListener("scroll", () => {
    drawing.hold(scene.layout, scroller);
    if (!byKey) leave();
  }, { ...listening, passive: true });
  scroller.addEventListener("focus", () => {
    focus ??= start();
    byKey = scroller.matches(":focus-visible");
    frame.request();
  }, listening);
  scroller.addEventListener("blur", () => {
    untell();
    frame.request();
  }, listening);

  /** Where the keyboard starts: the selected node, else the first that was asked for. */
  function start() {
    const { graph, selected } = scene.state;
    const first = graph.nodeIndex.get(selected) ?? graph.nodes.findIndex((node) => node.root);
    return present(first) ?? scene.layout.places.keys().next().value ?? null;
  }

  scroller.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== scroller) return;
    focus = present(focus) ?? start();
    if (focus === null) return;
    const { id } = scene.state.graph.nodes[focus];
    const factor = FACTORS.find((each) => String(each.factor) === event.key)?.factor;
    const way = { u: /** @type {const} */ ("up"), d: /** @type {const} */ ("down") }[event.key];
    if (event.key.startsWith("Arrow")) focus = moveNode(scene.layout, focus, event.key);
    else if (event.key === "Enter" || event.key === " ") choose({ selected: id });
    else if (event.key === "Escape") choose({ selected: "" });
    else if (way && scene.state.mode === "edit") expand(id, way);
    else if (factor !== undefined && scene.state.mode === "edit") scale(id, factor);
    else return;
    // The notebook has its own arrow keys, d and 0: they must not act on its cells too.
    event.preventDefault();
    event.stopPropagation();
    byKey = true;
    hover = null;
    draw();
    bringIntoView();
    if (event.key.startsWith("Arrow")) tellNode(focus);
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
