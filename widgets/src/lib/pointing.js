/**
 * What pointer and keyboard point at in a frame, and the tooltip that tells of it.
 */

/**
 * @template {object} Item something drawn, of which no property is an object
 * @typedef {object} Pointable
 * @property {() => void} draw
 * @property {(event: MouseEvent) => Item | null} under
 * @property {(item: Item) => boolean} present whether it is drawn
 * @property {(item: Item) => DOMRect} placeOf in the coordinates of the window
 * @property {(item: Item) => Node[]} content of the tooltip
 * @property {() => Item | null} start where the keyboard begins
 * @property {(item: Item | null, event: MouseEvent) => void} click
 * @property {(event: KeyboardEvent, focus: Item) => Item | boolean} key the item that it leads to, which is
 *   then told; or whether it did anything
 * @property {(item: Item) => void} reveal scrolls until it shows
 * @property {(item: Item, event: MouseEvent) => DOMRect} [placeUnder] where the tooltip of a pointer is held against
 * @property {(event: MouseEvent) => void} [beside] the pointer is in the frame and on no item
 * @property {() => void} [scrolled]
 */

/**
 * Listens to a view's frame.
 * @template {object} Item
 * @param {import("./view.js").View} view
 * @param {Pointable<Item>} of
 */
export function pointing({ scroller, tip, frame, listening, hasFocus }, of) {
  /** @type {{hover: Item | null, focus: Item | null, byKey: boolean}} `byKey`: whether the last thing that the user touched was a key, only then the focus is brought out */
  const now = { hover: null, focus: null, byKey: false };
  /** What the tooltip tells of, and where. @type {{item: Item, at: DOMRect} | null} */
  let told = null;

  const present = (/** @type {Item | null} */ item) => (item && of.present(item) ? item : null);

  /** @param {Item} item @param {DOMRect} at */
  function tell(item, at) {
    told = { item, at };
    tip.show(of.content(item), at);
  }

  function untell() {
    told = null;
    tip.hide();
  }

  /** After new data: what is told is told anew, or no longer there. */
  function retell() {
    if (told && present(told.item)) tell(told.item, told.at);
    else untell();
  }

  function leave() {
    untell();
    if (!now.hover) return;
    now.hover = null;
    frame.request();
  }

  /** What is pointed at by the pointer, and what is reached by keys, of what is drawn. */
  function settle() {
    now.hover = present(now.hover);
    now.focus = present(now.focus);
    return { hover: now.hover, reached: now.byKey && hasFocus() ? now.focus : null };
  }

  scroller.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    now.byKey = false;
    const found = of.under(event);
    if (!found) {
      leave();
      of.beside?.(event);
    } else if (!same(found, now.hover)) {
      now.hover = found;
      tell(found, (of.placeUnder ?? of.placeOf)(found, event));
      frame.request();
    }
  }, listening);
  scroller.addEventListener("pointerleave", leave, listening);
  scroller.addEventListener("click", (event) => {
    // Buttons that lie over the drawing act by themselves.
    if (event.target instanceof Element && event.target.closest("button")) return;
    now.byKey = false;
    const found = of.under(event);
    now.focus = found ?? now.focus;
    of.click(found, event);
    frame.request();
  }, listening);
  scroller.addEventListener("scroll", () => {
    of.scrolled?.();
    // A key that moves the focus also scrolls: its tooltip goes along. Any other scroll leaves the item.
    if (now.byKey && told && now.focus && same(told.item, now.focus)) tell(now.focus, of.placeOf(now.focus));
    else leave();
    frame.request();
  }, { ...listening, passive: true });
  scroller.addEventListener("wheel", untell, { ...listening, passive: true });
  scroller.addEventListener("focus", () => {
    now.focus ??= of.start();
    now.byKey = scroller.matches(":focus-visible");
    frame.request();
  }, listening);
  scroller.addEventListener("blur", () => {
    untell();
    frame.request();
  }, listening);
  scroller.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== scroller) return;
    now.focus = present(now.focus) ?? of.start();
    if (!now.focus) return;
    const next = of.key(event, now.focus);
    if (next === false) return;
    // The notebook has its own arrow keys, x and Escape: they must not act on its cells too.
    event.preventDefault();
    event.stopPropagation();
    if (next !== true) now.focus = next;
    now.byKey = true;
    now.hover = null;
    of.draw();
    of.reveal(now.focus);
    if (next === true) untell();
    else tell(next, of.placeOf(next));
  }, listening);
  addEventListener("scroll", (event) => {
    if (event.target !== scroller) untell();
  }, { ...listening, capture: true, passive: true });

  return { now, settle, tell, untell, retell };
}

/**
 * @param {object} a
 * @param {object | null} b
 */
const same = (a, b) => b !== null && Object.entries(a).every(([name, value]) => /** @type {any} */ (b)[name] === value);
