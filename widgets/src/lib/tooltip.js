import { h } from "./dom.js";

/**
 * The box of numbers beside what is pointed at. It takes no pointer: it must not stand in the way.
 * @param {string} widget class of the widget, to which `__tooltip` is added
 */
export function tooltip(widget) {
  // The top layer, where the browser has one: a notebook's output area clips and scrolls what sticks out.
  const element = h("div", { class: `workbench__tooltip ${widget}__tooltip`, popover: "manual", role: "tooltip" });

  function hide() {
    if (!element.classList.contains("is-open")) return;
    element.classList.remove("is-open");
    element.hidePopover?.();
  }

  /**
   * @param {Node[]} content
   * @param {DOMRect} anchor what is pointed at, in the coordinates of the window
   */
  function show(content, anchor) {
    element.replaceChildren(...content);
    if (!element.classList.contains("is-open")) {
      element.classList.add("is-open");
      element.showPopover?.();
    }
    const { width, height } = element.getBoundingClientRect();
    const { left, top } = place(anchor, { width, height }, { width: innerWidth, height: innerHeight });
    Object.assign(element.style, { left: `${left}px`, top: `${top}px` });
  }

  return { element, hide, show };
}

/**
 * Beside the anchor where there is room, else on its other side, never outside the window.
 * @param {{left: number, right: number, top: number, bottom: number}} anchor
 * @param {{width: number, height: number}} box
 * @param {{width: number, height: number}} room
 */
export function place(anchor, box, room) {
  const gap = 8;
  const right = anchor.right + gap;
  const left = right + box.width + gap <= room.width ? right : anchor.left - gap - box.width;
  if (left >= gap) {
    return { left, top: Math.max(gap, Math.min(anchor.top, room.height - box.height - gap)) };
  }
  const below = anchor.bottom + gap;
  const top = below + box.height + gap <= room.height ? below : anchor.top - gap - box.height;
  return {
    left: Math.max(gap, Math.min(anchor.left, room.width - box.width - gap)),
    top: Math.max(gap, top),
  };
}
