/**
 * GraphView: nodes in layers upwards and the edges between them, in one of three layouts: a model's components,
 * features in lanes, or one forward pass over its tokens. The Python half is workbench/widgets/graph_view.py.
 *
 * @typedef {import("./lib/lifecycle.js").Model} Model
 * @typedef {import("./lib/theme.js").Theme} Theme
 * @typedef {import("./lib/curves.js").Route} Route
 * @typedef {import("./graph_view/places.js").Place} Place
 * @typedef {{type: "node" | "edge", index: number}} Item a node by its number, an edge by its own in the whole graph
 * @typedef {{state: {title: string, status: string, mode: string, selected: string,
 *   graph: {nodes: {id: string}[], nodeIndex: Map<string, number>}}, routes: Map<number, Route>, width: number,
 *   layout: {width: number, height: number, places: Map<number, Place>, rows: number[][]}, theme: Theme}} Scene
 *   what is drawn: `routes` by the edge's number, `width` the room there is
 * @typedef {{prefix: string, choose: (changes: Record<string, any>) => void,
 *   zoom: (way: "in" | "out" | "fit") => void}} Acts what its controls may do; `prefix` is this view's own
 * @typedef {Record<string, any> | null} Changes of the user's choice, none
 */
import { nearestRoute } from "./lib/curves.js";
import { h } from "./lib/dom.js";
import { pointing } from "./lib/pointing.js";
import { themeOf } from "./lib/theme.js";
import { view } from "./lib/view.js";
import { components } from "./graph_view/components/index.js";
import { lanes } from "./graph_view/lanes/index.js";
import { boxOf, moveNode, nodeAt } from "./graph_view/places.js";
import { tokens } from "./graph_view/tokens/index.js";

export { StandInModel } from "./lib/stand_in.js";

/**
 * @template {Scene} S
 * @typedef {object} Layout
 * @property {string} role
 * @property {readonly string[]} traits
 * @property {(model: Model) => S["state"]} read
 * @property {(state: any, width: number, theme: Theme, old: S | undefined) => S} scene
 * @property {(prefix: string) => {element: SVGSVGElement, paint: (scene: S) => void,
 *   emphasise: (scene: S, marks: any) => void,
 *   hold?: (layout: S["layout"], frame: HTMLElement, zoom: number) => void}} picture `hold` keeps names at the
 *   edges of a frame that is scrolled
 * @property {(acts: Acts) => {element: HTMLElement, update: (scene: S) => void}} toolbar
 * @property {(acts: Acts, scene: () => S) => {elements: HTMLElement[], update: (scene: S) => void}} [over] buttons over the drawing
 * @property {() => {element: HTMLElement, update: (scene: S) => void}} [below] a panel below it
 * @property {(scene: S) => string} label what the frame holds and which keys it knows
 * @property {(scene: S, pointed: {hover: Item | null, reached: Item | null}) => {marks: any, words: string}} emphasis
 * @property {(scene: S, item: Item) => string} describe
 * @property {(scene: S, item: Item) => Node[]} content of the tooltip
 * @property {(scene: S, index: number) => {source: number, target: number}} edge
 * @property {(scene: S, node: number) => number[]} edgesOf the drawn edges of a node, the strongest first
 * @property {(scene: S) => number | undefined} start the node that the keyboard begins at, if it is drawn
 * @property {(scene: S, item: Item) => boolean} clickable
 * @property {(scene: S, item: Item | null, shift: boolean) => Changes} click
 * @property {(scene: S, key: string, item: Item, shift: boolean) => Changes | undefined} key undefined: nothing
 * @property {(a: Place, b: Place) => boolean} [beside] the nodes that up and down prefer
 * @property {boolean} [zooms]
 * @property {boolean} [letsGo] what is clicked is no longer pointed at
 */

/** @type {Record<string, Layout<any>>} */
const LAYOUTS = { components, lanes, tokens };
/** How far from an edge the pointer may be. */
const REACH = 7;
/** Free room between what a key leads to and the frame, in which names may be held. */
const ROOM = { left: 70, top: 40, right: 40, bottom: 60 };
/** `first`: a graph too wide for its frame is drawn this small, where that lets more of it be seen. */
const ZOOM = { least: 0.08, most: 2, step: 1.2, first: 0.85 };
let views = 0;

/**
 * Draws a view of the model into an element.
 * @param {{model: Model, el: HTMLElement}} context
 * @returns {() => void} takes the view apart
 */
function render({ model, el }) {
  const name = model.get("_layout");
  const of = LAYOUTS[name];
  const shell = view("graph-view", { model, el, role: of.role, traits: of.traits, draw });
  const { scroller, root, choose } = shell;
  const acts = { prefix: `graph-view-${(views += 1)}`, choose, zoom: (/** @type {string} */ way) => step(way) };
  const drawing = of.picture(acts.prefix);
  const bar = of.toolbar(acts);
  const over = of.over?.(acts, () => scene);
  const below = of.below?.();
  root.classList.add(`is-${name}`);
  scroller.append(h("div", { class: "graph-view__surface" }, drawing.element, ...(over?.elements ?? [])));

  /** @type {Scene} */
  let scene;
  /** @type {unknown[]} */
  let drawnFrom = [];
  /** The node whose edges are stepped through. @type {number | null} */
  let origin = null;
  let zoom = 1;
  let sized = false;

  /** @type {import("./lib/pointing.js").Pointable<Item>} */
  const pointable = {
    draw, under, present, placeOf, content: (item) => of.content(scene, item), start, click, key, reveal,
    placeUnder: (item, event) => (item.type === "node" ? placeOf(item) : new DOMRect(event.clientX - 6, event.clientY - 6, 12, 12)),
    scrolled: hold,
  };
  const pointed = pointing(shell, pointable);

  function draw() {
    // The scroll bar's room is always kept free, so that no drawing changes it.
    const width = scroller.clientWidth;
    if (width <= 0) return;
    const theme = themeOf(root);
    const from = [...of.traits.map((trait) => model.get(trait)), width, theme.background, theme.font];
    if (from.some((item, i) => item !== drawnFrom[i])) {
      drawnFrom = from;
      update(width, theme);
    }
    const { hover, reached } = pointed.settle();
    const { marks, words } = of.emphasis(scene, { hover, reached });
    drawing.emphasise(scene, { ...marks, focus: reached });
    const id = reached && `${acts.prefix}-${reached.type}${reached.index}`;
    if (reached && id) {
      // Only when the keyboard reaches it: writing out the numbers of hundreds takes longer than drawing them.
      drawing.element.querySelector(`#${id}`)?.setAttribute("aria-label", of.describe(scene, reached));
      scroller.setAttribute("aria-activedescendant", id);
    } else scroller.removeAttribute("aria-activedescendant");
    shell.say(words);
  }

  /**
   * @param {number} width
   * @param {Theme} theme
   */
  function update(width, theme) {
    const old = scene;
    scene = of.scene(of.read(model), width, theme, old);
    const { state, layout } = scene;
    bar.update(scene);
    drawing.paint(scene);
    if (of.zooms && !sized) zoom = Math.max(ZOOM.first, Math.min(1, width / layout.width));
    // Before the frame is measured, which lays the picture out.
    size();
    if (drawing.hold && (!old || old.state.graph !== state.graph || old.width !== width)) centre();
    hold();
    over?.update(scene);
    below?.update(scene);
    shell.head(state, of.label(scene));
    pointed.retell();
  }

  function size() {
    const { width, height } = scene.layout;
    const sizes = { viewBox: `0 0 ${width} ${height}`, width: (width * zoom).toFixed(1), height: (height * zoom).toFixed(1) };
    for (const [attribute, value] of Object.entries(sizes)) drawing.element.setAttribute(attribute, value);
  }

  function hold() {
    drawing.hold?.(scene.layout, scroller, zoom);
  }

  /** Puts where the keyboard begins in the middle of a frame that is too small for the graph. */
  function centre() {
    const place = scene.layout.places.get(start()?.index ?? -1);
    if (place) scroller.scrollTo({ left: place.x * zoom - scroller.clientWidth / 2, top: place.y * zoom - scroller.clientHeight / 2, behavior: "instant" });
  }

  /** The size at which the whole graph shows, or where it shows already, its own. */
  function fitting() {
    const { width, height } = scene.layout;
    const room = parseFloat(getComputedStyle(scroller).maxHeight) - 2;
    const whole = Math.min(1, scroller.clientWidth / width, (room || height) / height);
    return Math.abs(zoom - whole) < 1e-6 ? 1 : whole;
  }

  /** @param {string} way */
  const step = (way) => resize(way === "fit" ? fitting() : zoom * (way === "in" ? ZOOM.step : 1 / ZOOM.step));

  /**
   * @param {number} wanted
   * @param {{x: number, y: number}} [at] point of the frame that keeps its place, the middle where absent
   */
  function resize(wanted, at = { x: scroller.clientWidth / 2, y: scroller.clientHeight / 2 }) {
    const old = zoom;
    sized = true;
    zoom = Math.min(ZOOM.most, Math.max(ZOOM.least, wanted));
    const [x, y] = [(scroller.scrollLeft + at.x) / old, (scroller.scrollTop + at.y) / old];
    pointed.untell();
    size();
    scroller.scrollTo({ left: x * zoom - at.x, top: y * zoom - at.y, behavior: "instant" });
    hold();
  }

  /** @param {Item} item */
  function present({ type, index }) {
    return type === "node" ? scene.layout.places.has(index) : scene.routes.has(index);
  }

  /** @returns {Item | null} the node that the keyboard begins at */
  function start() {
    const { places } = scene.layout;
    const wanted = of.start(scene) ?? -1;
    const index = places.has(wanted) ? wanted : places.keys().next().value;
    return index === undefined ? null : { type: "node", index };
  }

  /**
   * @param {Item} item
   * @returns {DOMRect} its box, or the middle of its line, in the coordinates of the window
   */
  function placeOf({ type, index }) {
    const { x, y } = drawing.element.getBoundingClientRect();
    if (type === "edge") {
      const { middle } = /** @type {Route} */ (scene.routes.get(index));
      return new DOMRect(x + middle.x * zoom - 6, y + middle.y * zoom - 6, 12, 12);
    }
    const { left, right, top, bottom } = boxOf(/** @type {Place} */ (scene.layout.places.get(index)));
    return new DOMRect(x + left * zoom, y + top * zoom, (right - left) * zoom, (bottom - top) * zoom);
  }

  /**
   * @param {MouseEvent} event
   * @returns {Item | null}
   */
  function under(event) {
    const found = itemUnder(event);
    scroller.style.cursor = found && of.clickable(scene, found) ? "pointer" : "default";
    return found;
  }

  /**
   * @param {MouseEvent} event
   * @returns {Item | null}
   */
  function itemUnder(event) {
    // The names at the frame's edges lie over the graph, as buttons do.
    if (event.target instanceof Element && event.target.closest(".graph-view__layers, .graph-view__tokens, button")) return null;
    const box = drawing.element.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.x) / zoom, (event.clientY - box.y) / zoom];
    const node = nodeAt(scene.layout, x, y);
    if (node !== null) return { type: "node", index: node };
    const edge = nearestRoute([...scene.routes.values()], x, y, REACH / zoom);
    return edge < 0 ? null : { type: "edge", index: [...scene.routes.keys()][edge] };
  }

  /**
   * @param {Item | null} item
   * @param {MouseEvent} event
   */
  function click(item, event) {
    origin = item?.type === "node" ? item.index : null;
    const changes = of.click(scene, item, event.shiftKey);
    if (changes) choose(changes);
    // What it says of the item may have changed with the click, and it would lie over what appears.
    pointed.untell();
    if (of.letsGo) pointed.now.hover = null;
  }

  /** The node whose edges are stepped through from here. @param {Item} item */
  const standing = ({ type, index }) => (type === "node" ? index : (origin ?? of.edge(scene, index).source));

  /**
   * Steps from a node to its strongest drawn edge, to the next, and after the last back to the node.
   * @param {Item} focus
   * @param {number} by
   * @returns {Item}
   */
  function stepEdge(focus, by) {
    origin = standing(focus);
    const own = of.edgesOf(scene, origin);
    const now = focus.type === "edge" ? own.indexOf(focus.index) : by > 0 ? -1 : own.length;
    const next = own[now + by];
    return next === undefined ? { type: "node", index: origin } : { type: "edge", index: next };
  }

  /**
   * @param {KeyboardEvent} event
   * @param {Item} focus
   * @returns {Item | boolean}
   */
  function key({ key: pressed, shiftKey }, focus) {
    if (pressed.startsWith("Arrow")) {
      const from = standing(focus);
      origin = focus.type === "edge" ? from : moveNode(scene.layout, from, pressed, of.beside);
      return { type: "node", index: origin };
    }
    if (pressed.toLowerCase() === "e") return stepEdge(focus, shiftKey ? -1 : 1);
    if (of.zooms && ["+", "-", "0"].includes(pressed)) {
      step(pressed === "0" ? "fit" : pressed === "+" ? "in" : "out");
      return true;
    }
    const changes = of.key(scene, pressed, focus, shiftKey);
    if (changes === undefined) return false;
    if (changes) choose(changes);
    return focus.type === "edge" && pressed !== "Escape" ? focus : true;
  }

  /** @param {Item} item */
  function reveal(item) {
    const at = placeOf(item);
    const frame = scroller.getBoundingClientRect();
    const [x, y] = [
      Math.min(0, at.left - ROOM.left * zoom - frame.left) + Math.max(0, at.right + ROOM.right - frame.right),
      Math.min(0, at.top - ROOM.top - frame.top) + Math.max(0, at.bottom + ROOM.bottom * zoom - frame.bottom),
    ];
    if (x !== 0 || y !== 0) scroller.scrollBy({ left: x, top: y, behavior: "instant" });
    hold();
  }

  if (of.zooms) {
    scroller.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = scroller.getBoundingClientRect();
      resize(zoom * Math.exp(-0.002 * Math.max(-100, Math.min(100, event.deltaY))), { x: event.clientX - box.x, y: event.clientY - box.y });
    }, { ...shell.listening, passive: false });
  }

  return shell.open([shell.title, bar.element, shell.stage, shell.readout, ...(below ? [below.element] : []), shell.tip.element]);
}

export default { render };
