/* Built by `npm run build` in widgets/; edit the sources there, never this file.
 * sources: build.mjs package-lock.json src/feature_grid.js src/feature_grid/painter.js src/feature_grid/state.js src/feature_grid/text.js src/feature_grid/toolbar.js src/lib/arrays.js src/lib/colors.js src/lib/dom.js src/lib/fit_text.js src/lib/grid.js src/lib/grid_geometry.js src/lib/lifecycle.js src/lib/numbers.js src/lib/pointing.js src/lib/sign_colors.js src/lib/stand_in.js src/lib/theme.js src/lib/tokens.js src/lib/tooltip.js src/lib/view.js
 * sources-sha256: 7e1fcab80595d3adef7309df0d29372c74d6f69f2b55a80912dc1d955bc7902c
 * body-sha256: b27ac0d6141999efd39b965a5f8bc4d49309a276e6339902093ae9bfb800d633
 */
// src/lib/dom.js
var OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== void 0) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== null) element.append(child);
}
function frameScheduler(draw) {
  let frame = null;
  return {
    request() {
      frame ??= requestAnimationFrame(() => {
        frame = null;
        draw();
      });
    },
    cancel() {
      if (frame !== null) cancelAnimationFrame(frame);
      frame = null;
    }
  };
}
function watchTheme(changed) {
  const observer = new MutationObserver(changed);
  const filter = { attributes: true, attributeFilter: ["class", "style", "theme", "data-jp-theme-light", "data-jp-theme-name", "data-theme"] };
  observer.observe(document.documentElement, filter);
  observer.observe(document.body, filter);
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", changed);
  };
}

// src/lib/grid_geometry.js
function contentSize({ rows, columns, cellWidth, cellHeight, left, top, bottom }) {
  return { width: left + columns * cellWidth, height: top + rows * cellHeight + bottom };
}
function fitCellWidth(available, columns, least, most) {
  return Math.floor(Math.min(most, Math.max(least, available / Math.max(1, columns))));
}
function cellOrigin(layout, view2, { row, pos }) {
  return {
    x: layout.left + pos * layout.cellWidth - view2.x,
    y: layout.top + (layout.rows - 1 - row) * layout.cellHeight - view2.y
  };
}
function hit(layout, view2, x, y) {
  const end = Math.min(view2.height, layout.top + layout.rows * layout.cellHeight + layout.bottom - view2.y);
  if (x < 0 || y < 0 || x >= view2.width || y >= end) return null;
  const pos = Math.floor((x - layout.left + view2.x) / layout.cellWidth);
  const line = Math.floor((y - layout.top + view2.y) / layout.cellHeight);
  const inColumns = x >= layout.left && pos >= 0 && pos < layout.columns;
  const inRows = y >= layout.top && y < end - layout.bottom && line >= 0 && line < layout.rows;
  if (inColumns && inRows) return { row: layout.rows - 1 - line, pos };
  if (inColumns && (y < layout.top || y >= end - layout.bottom)) return { row: null, pos };
  if (inRows && x < layout.left) return { row: layout.rows - 1 - line, pos: null };
  return null;
}
function visibleCells(layout, view2) {
  const firstLine = Math.max(0, Math.floor(view2.y / layout.cellHeight));
  const space = view2.height - layout.top - layout.bottom;
  const lastLine = Math.min(layout.rows - 1, Math.ceil((view2.y + space) / layout.cellHeight) - 1);
  return {
    firstRow: layout.rows - 1 - lastLine,
    lastRow: layout.rows - 1 - firstLine,
    firstPos: Math.max(0, Math.floor(view2.x / layout.cellWidth)),
    lastPos: Math.min(
      layout.columns - 1,
      Math.ceil((view2.x + view2.width - layout.left) / layout.cellWidth) - 1
    )
  };
}
function scrollTo(layout, view2, { row, pos }) {
  const cellX = pos * layout.cellWidth;
  const cellY = (layout.rows - 1 - row) * layout.cellHeight;
  const width = view2.width - layout.left;
  const height = view2.height - layout.top - layout.bottom;
  return {
    x: Math.max(Math.min(view2.x, cellX), cellX + layout.cellWidth - width, 0),
    y: Math.max(Math.min(view2.y, cellY), cellY + layout.cellHeight - height, 0)
  };
}
function moveCell(key, { row, pos }, layout, page) {
  const moves = {
    ArrowLeft: { row, pos: pos - 1 },
    ArrowRight: { row, pos: pos + 1 },
    ArrowUp: { row: row + 1, pos },
    ArrowDown: { row: row - 1, pos },
    Home: { row, pos: 0 },
    End: { row, pos: layout.columns - 1 },
    PageUp: { row: row + page, pos },
    PageDown: { row: row - page, pos }
  };
  const next = moves[key];
  if (!next) return null;
  return {
    row: Math.min(layout.rows - 1, Math.max(0, next.row)),
    pos: Math.min(layout.columns - 1, Math.max(0, next.pos))
  };
}

// src/lib/tokens.js
var SIGNS = { " ": "·", "\n": "↵", "	": "⇥", "\r": "␍", " ": "⍽", "�": "�" };
var UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]/;
function sign(character) {
  if (character in SIGNS) return SIGNS[character];
  if (!UNSEEN.test(character) || character.length > 1) return null;
  const code = character.charCodeAt(0).toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
}
function tokenParts(token) {
  if (token === "") return [{ text: "(empty)", mark: true }];
  const parts = [];
  const characters = Array.from(token);
  const first = characters.findIndex((character) => character !== " ");
  let last = characters.length - 1;
  while (last > first && characters[last] === " ") last -= 1;
  characters.forEach((character, i) => {
    const inner = character === " " && first >= 0 && i > first && i < last;
    const shown = inner ? null : sign(character);
    const text = shown ?? character;
    const mark = shown !== null;
    const previous = parts.at(-1);
    if (previous && previous.mark === mark) previous.text += text;
    else parts.push({ text, mark });
  });
  return parts;
}
function visibleToken(token) {
  return tokenParts(token).map((part) => part.text).join("");
}
function fitParts(parts, width, measure) {
  const whole = parts.map((part) => part.text).join("");
  if (whole.length <= 200 && measure(whole) <= width) return parts;
  const characters = parts.flatMap(
    (part) => Array.from(part.text.slice(0, 200), (text) => ({ text, mark: part.mark }))
  );
  let low = 0;
  let high = Math.min(characters.length, 200);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const text = characters.slice(0, middle).map((part) => part.text).join("");
    if (measure(`${text}…`) <= width) low = middle;
    else high = middle - 1;
  }
  const kept = [];
  for (const part of characters.slice(0, low)) {
    const previous2 = kept.at(-1);
    if (previous2 && previous2.mark === part.mark) previous2.text += part.text;
    else kept.push({ ...part });
  }
  const previous = kept.at(-1);
  if (previous && !previous.mark) previous.text += "…";
  else kept.push({ text: "…", mark: false });
  return kept;
}

// src/lib/grid.js
function grid(scroller, name) {
  const canvas = h("canvas", { class: `workbench__canvas ${name}__canvas`, "aria-hidden": "true" });
  const spacer = h("div", { class: "workbench__spacer" }, canvas);
  scroller.append(spacer);
  const context = (
    /** @type {CanvasRenderingContext2D} */
    canvas.getContext("2d")
  );
  let layout = { rows: 0, columns: 0, cellWidth: 1, cellHeight: 1, left: 0, top: 0, bottom: 0 };
  let measured = [];
  function measure(from, mostHeight, laidOut) {
    if (from.every((item, i) => item === measured[i])) return;
    measured = from;
    Object.assign(scroller.style, { maxWidth: "", overflowX: "hidden", overflowY: "hidden" });
    layout = laidOut(scroller.clientWidth);
    if (contentSize(layout).height > mostHeight) {
      scroller.style.overflowY = "scroll";
      layout = laidOut(scroller.clientWidth);
    }
    const { width, height } = contentSize(layout);
    scroller.style.overflowX = width > scroller.clientWidth ? "scroll" : "hidden";
    scroller.style.maxWidth = `${width + scroller.offsetWidth - scroller.clientWidth}px`;
    scroller.style.height = `${Math.min(mostHeight, height) + scroller.offsetHeight - scroller.clientHeight}px`;
    Object.assign(spacer.style, { width: `${width}px`, height: `${height}px` });
  }
  function clear(background) {
    const view2 = viewport(scroller);
    fitCanvas(context, view2);
    context.textBaseline = "middle";
    context.fillStyle = background;
    context.fillRect(0, 0, view2.width, view2.height);
    return view2;
  }
  function under(event) {
    const box = canvas.getBoundingClientRect();
    return hit(layout, viewport(scroller), event.clientX - box.x, event.clientY - box.y);
  }
  function cellUnder(event) {
    const found = under(event);
    return found && found.row !== null && found.pos !== null ? { row: found.row, pos: found.pos } : null;
  }
  function placeOf(cell) {
    const { x, y } = cellOrigin(layout, viewport(scroller), cell);
    const box = canvas.getBoundingClientRect();
    return new DOMRect(box.x + x, box.y + y, layout.cellWidth, layout.cellHeight);
  }
  function reveal(cell) {
    const { x, y } = scrollTo(layout, viewport(scroller), cell);
    scroller.scrollTo({ left: x, top: y, behavior: "instant" });
  }
  const has = ({ row, pos }) => row < layout.rows && pos < layout.columns;
  const page = () => Math.max(1, Math.floor((scroller.clientHeight - layout.top - layout.bottom) / layout.cellHeight) - 1);
  return { context, get layout() {
    return layout;
  }, measure, clear, under, cellUnder, placeOf, reveal, has, page };
}
function viewport(scroller) {
  return { width: scroller.clientWidth, height: scroller.clientHeight, x: scroller.scrollLeft, y: scroller.scrollTop };
}
function fitCanvas(context, { width, height }) {
  const ratio = devicePixelRatio || 1;
  const { canvas } = context;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) {
    Object.assign(canvas, { width: across, height: down });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}
function inside(context, box, paint) {
  context.save();
  context.beginPath();
  context.rect(...box);
  context.clip();
  paint();
  context.restore();
}
function outline(context, { x, y, width, height }, strokes) {
  for (const [color2, thick] of strokes) {
    context.strokeStyle = color2;
    context.lineWidth = thick;
    context.strokeRect(x, y, width, height);
  }
}
function ring(context, layout, view2, cell, strokes) {
  const { x, y } = cellOrigin(layout, view2, cell);
  for (const stroke of strokes) {
    const inset = stroke[1] / 2;
    outline(context, { x: x + inset, y: y + inset, width: layout.cellWidth - 1 - stroke[1], height: layout.cellHeight - 1 - stroke[1] }, [stroke]);
  }
}
var rings = (focus) => ({
  hover: [["#000000", 2.5], ["#ffffff", 1]],
  selected: [["#ffffff", 3], ["#000000", 2]],
  focus: [["#ffffff", 4], [focus, 3]]
});
function tokenWriter(context) {
  const fitted = /* @__PURE__ */ new Map();
  let fittedFor = "";
  function fit(token, room, font) {
    const key = `${room} ${font}`;
    if (key !== fittedFor || fitted.size > 2e4) fitted.clear();
    fittedFor = key;
    context.font = font;
    let parts = fitted.get(token);
    if (!parts) {
      const measure = (text) => context.measureText(text).width;
      parts = fitParts(tokenParts(token), room, measure).map((part) => ({ ...part, width: measure(part.text) }));
      fitted.set(token, parts);
    }
    return { parts, width: parts.reduce((sum, part) => sum + part.width, 0) };
  }
  function write(parts, left, middle, ink) {
    let at = left;
    context.fillStyle = ink;
    context.textAlign = "left";
    const faint = parts.some((part) => !part.mark) ? 0.6 : 1;
    for (const part of parts) {
      context.globalAlpha = part.mark ? faint : 1;
      context.fillText(part.text, at, middle);
      at += part.width;
    }
    context.globalAlpha = 1;
  }
  function centre(token, { x, middle, width, room, ink, font }) {
    const { parts, width: taken } = fit(token, room, font);
    write(parts, x + (width - taken) / 2, middle, ink);
  }
  return { fit, write, centre };
}

// src/lib/pointing.js
function pointing({ scroller, tip, frame, listening, hasFocus }, of) {
  const now = { hover: null, focus: null, byKey: false };
  let told = null;
  const present = (item) => item && of.present(item) ? item : null;
  function tell(item, at) {
    told = { item, at };
    tip.show(of.content(item), at);
  }
  function untell() {
    told = null;
    tip.hide();
  }
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
    if (event.target instanceof Element && event.target.closest("button")) return;
    now.byKey = false;
    const found = of.under(event);
    now.focus = found ?? now.focus;
    of.click(found, event);
    frame.request();
  }, listening);
  scroller.addEventListener("scroll", () => {
    of.scrolled?.();
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
var same = (a, b) => b !== null && Object.entries(a).every(([name, value]) => (
  /** @type {any} */
  b[name] === value
));

// node_modules/d3-scale-chromatic/src/colors.js
function colors_default(specifier) {
  var n = specifier.length / 6 | 0, colors = new Array(n), i = 0;
  while (i < n) colors[i] = "#" + specifier.slice(i * 6, ++i * 6);
  return colors;
}

// node_modules/d3-color/dist/d3-color.mjs
function define(constructor, factory, prototype) {
  constructor.prototype = factory.prototype = prototype;
  prototype.constructor = constructor;
}
function extend(parent, definition) {
  var prototype = Object.create(parent.prototype);
  for (var key in definition) prototype[key] = definition[key];
  return prototype;
}
function Color() {
}
var darker = 0.7;
var brighter = 1 / darker;
var reI = "\\s*([+-]?\\d+)\\s*";
var reN = "\\s*([+-]?(?:\\d*\\.)?\\d+(?:[eE][+-]?\\d+)?)\\s*";
var reP = "\\s*([+-]?(?:\\d*\\.)?\\d+(?:[eE][+-]?\\d+)?)%\\s*";
var reHex = /^#([0-9a-f]{3,8})$/;
var reRgbInteger = new RegExp(`^rgb\\(${reI},${reI},${reI}\\)$`);
var reRgbPercent = new RegExp(`^rgb\\(${reP},${reP},${reP}\\)$`);
var reRgbaInteger = new RegExp(`^rgba\\(${reI},${reI},${reI},${reN}\\)$`);
var reRgbaPercent = new RegExp(`^rgba\\(${reP},${reP},${reP},${reN}\\)$`);
var reHslPercent = new RegExp(`^hsl\\(${reN},${reP},${reP}\\)$`);
var reHslaPercent = new RegExp(`^hsla\\(${reN},${reP},${reP},${reN}\\)$`);
var named = {
  aliceblue: 15792383,
  antiquewhite: 16444375,
  aqua: 65535,
  aquamarine: 8388564,
  azure: 15794175,
  beige: 16119260,
  bisque: 16770244,
  black: 0,
  blanchedalmond: 16772045,
  blue: 255,
  blueviolet: 9055202,
  brown: 10824234,
  burlywood: 14596231,
  cadetblue: 6266528,
  chartreuse: 8388352,
  chocolate: 13789470,
  coral: 16744272,
  cornflowerblue: 6591981,
  cornsilk: 16775388,
  crimson: 14423100,
  cyan: 65535,
  darkblue: 139,
  darkcyan: 35723,
  darkgoldenrod: 12092939,
  darkgray: 11119017,
  darkgreen: 25600,
  darkgrey: 11119017,
  darkkhaki: 12433259,
  darkmagenta: 9109643,
  darkolivegreen: 5597999,
  darkorange: 16747520,
  darkorchid: 10040012,
  darkred: 9109504,
  darksalmon: 15308410,
  darkseagreen: 9419919,
  darkslateblue: 4734347,
  darkslategray: 3100495,
  darkslategrey: 3100495,
  darkturquoise: 52945,
  darkviolet: 9699539,
  deeppink: 16716947,
  deepskyblue: 49151,
  dimgray: 6908265,
  dimgrey: 6908265,
  dodgerblue: 2003199,
  firebrick: 11674146,
  floralwhite: 16775920,
  forestgreen: 2263842,
  fuchsia: 16711935,
  gainsboro: 14474460,
  ghostwhite: 16316671,
  gold: 16766720,
  goldenrod: 14329120,
  gray: 8421504,
  green: 32768,
  greenyellow: 11403055,
  grey: 8421504,
  honeydew: 15794160,
  hotpink: 16738740,
  indianred: 13458524,
  indigo: 4915330,
  ivory: 16777200,
  khaki: 15787660,
  lavender: 15132410,
  lavenderblush: 16773365,
  lawngreen: 8190976,
  lemonchiffon: 16775885,
  lightblue: 11393254,
  lightcoral: 15761536,
  lightcyan: 14745599,
  lightgoldenrodyellow: 16448210,
  lightgray: 13882323,
  lightgreen: 9498256,
  lightgrey: 13882323,
  lightpink: 16758465,
  lightsalmon: 16752762,
  lightseagreen: 2142890,
  lightskyblue: 8900346,
  lightslategray: 7833753,
  lightslategrey: 7833753,
  lightsteelblue: 11584734,
  lightyellow: 16777184,
  lime: 65280,
  limegreen: 3329330,
  linen: 16445670,
  magenta: 16711935,
  maroon: 8388608,
  mediumaquamarine: 6737322,
  mediumblue: 205,
  mediumorchid: 12211667,
  mediumpurple: 9662683,
  mediumseagreen: 3978097,
  mediumslateblue: 8087790,
  mediumspringgreen: 64154,
  mediumturquoise: 4772300,
  mediumvioletred: 13047173,
  midnightblue: 1644912,
  mintcream: 16121850,
  mistyrose: 16770273,
  moccasin: 16770229,
  navajowhite: 16768685,
  navy: 128,
  oldlace: 16643558,
  olive: 8421376,
  olivedrab: 7048739,
  orange: 16753920,
  orangered: 16729344,
  orchid: 14315734,
  palegoldenrod: 15657130,
  palegreen: 10025880,
  paleturquoise: 11529966,
  palevioletred: 14381203,
  papayawhip: 16773077,
  peachpuff: 16767673,
  peru: 13468991,
  pink: 16761035,
  plum: 14524637,
  powderblue: 11591910,
  purple: 8388736,
  rebeccapurple: 6697881,
  red: 16711680,
  rosybrown: 12357519,
  royalblue: 4286945,
  saddlebrown: 9127187,
  salmon: 16416882,
  sandybrown: 16032864,
  seagreen: 3050327,
  seashell: 16774638,
  sienna: 10506797,
  silver: 12632256,
  skyblue: 8900331,
  slateblue: 6970061,
  slategray: 7372944,
  slategrey: 7372944,
  snow: 16775930,
  springgreen: 65407,
  steelblue: 4620980,
  tan: 13808780,
  teal: 32896,
  thistle: 14204888,
  tomato: 16737095,
  turquoise: 4251856,
  violet: 15631086,
  wheat: 16113331,
  white: 16777215,
  whitesmoke: 16119285,
  yellow: 16776960,
  yellowgreen: 10145074
};
define(Color, color, {
  copy(channels2) {
    return Object.assign(new this.constructor(), this, channels2);
  },
  displayable() {
    return this.rgb().displayable();
  },
  hex: color_formatHex,
  // Deprecated! Use color.formatHex.
  formatHex: color_formatHex,
  formatHex8: color_formatHex8,
  formatHsl: color_formatHsl,
  formatRgb: color_formatRgb,
  toString: color_formatRgb
});
function color_formatHex() {
  return this.rgb().formatHex();
}
function color_formatHex8() {
  return this.rgb().formatHex8();
}
function color_formatHsl() {
  return hslConvert(this).formatHsl();
}
function color_formatRgb() {
  return this.rgb().formatRgb();
}
function color(format) {
  var m, l;
  format = (format + "").trim().toLowerCase();
  return (m = reHex.exec(format)) ? (l = m[1].length, m = parseInt(m[1], 16), l === 6 ? rgbn(m) : l === 3 ? new Rgb(m >> 8 & 15 | m >> 4 & 240, m >> 4 & 15 | m & 240, (m & 15) << 4 | m & 15, 1) : l === 8 ? rgba(m >> 24 & 255, m >> 16 & 255, m >> 8 & 255, (m & 255) / 255) : l === 4 ? rgba(m >> 12 & 15 | m >> 8 & 240, m >> 8 & 15 | m >> 4 & 240, m >> 4 & 15 | m & 240, ((m & 15) << 4 | m & 15) / 255) : null) : (m = reRgbInteger.exec(format)) ? new Rgb(m[1], m[2], m[3], 1) : (m = reRgbPercent.exec(format)) ? new Rgb(m[1] * 255 / 100, m[2] * 255 / 100, m[3] * 255 / 100, 1) : (m = reRgbaInteger.exec(format)) ? rgba(m[1], m[2], m[3], m[4]) : (m = reRgbaPercent.exec(format)) ? rgba(m[1] * 255 / 100, m[2] * 255 / 100, m[3] * 255 / 100, m[4]) : (m = reHslPercent.exec(format)) ? hsla(m[1], m[2] / 100, m[3] / 100, 1) : (m = reHslaPercent.exec(format)) ? hsla(m[1], m[2] / 100, m[3] / 100, m[4]) : named.hasOwnProperty(format) ? rgbn(named[format]) : format === "transparent" ? new Rgb(NaN, NaN, NaN, 0) : null;
}
function rgbn(n) {
  return new Rgb(n >> 16 & 255, n >> 8 & 255, n & 255, 1);
}
function rgba(r, g, b, a) {
  if (a <= 0) r = g = b = NaN;
  return new Rgb(r, g, b, a);
}
function rgbConvert(o) {
  if (!(o instanceof Color)) o = color(o);
  if (!o) return new Rgb();
  o = o.rgb();
  return new Rgb(o.r, o.g, o.b, o.opacity);
}
function rgb(r, g, b, opacity) {
  return arguments.length === 1 ? rgbConvert(r) : new Rgb(r, g, b, opacity == null ? 1 : opacity);
}
function Rgb(r, g, b, opacity) {
  this.r = +r;
  this.g = +g;
  this.b = +b;
  this.opacity = +opacity;
}
define(Rgb, rgb, extend(Color, {
  brighter(k) {
    k = k == null ? brighter : Math.pow(brighter, k);
    return new Rgb(this.r * k, this.g * k, this.b * k, this.opacity);
  },
  darker(k) {
    k = k == null ? darker : Math.pow(darker, k);
    return new Rgb(this.r * k, this.g * k, this.b * k, this.opacity);
  },
  rgb() {
    return this;
  },
  clamp() {
    return new Rgb(clampi(this.r), clampi(this.g), clampi(this.b), clampa(this.opacity));
  },
  displayable() {
    return -0.5 <= this.r && this.r < 255.5 && (-0.5 <= this.g && this.g < 255.5) && (-0.5 <= this.b && this.b < 255.5) && (0 <= this.opacity && this.opacity <= 1);
  },
  hex: rgb_formatHex,
  // Deprecated! Use color.formatHex.
  formatHex: rgb_formatHex,
  formatHex8: rgb_formatHex8,
  formatRgb: rgb_formatRgb,
  toString: rgb_formatRgb
}));
function rgb_formatHex() {
  return `#${hex(this.r)}${hex(this.g)}${hex(this.b)}`;
}
function rgb_formatHex8() {
  return `#${hex(this.r)}${hex(this.g)}${hex(this.b)}${hex((isNaN(this.opacity) ? 1 : this.opacity) * 255)}`;
}
function rgb_formatRgb() {
  const a = clampa(this.opacity);
  return `${a === 1 ? "rgb(" : "rgba("}${clampi(this.r)}, ${clampi(this.g)}, ${clampi(this.b)}${a === 1 ? ")" : `, ${a})`}`;
}
function clampa(opacity) {
  return isNaN(opacity) ? 1 : Math.max(0, Math.min(1, opacity));
}
function clampi(value) {
  return Math.max(0, Math.min(255, Math.round(value) || 0));
}
function hex(value) {
  value = clampi(value);
  return (value < 16 ? "0" : "") + value.toString(16);
}
function hsla(h2, s, l, a) {
  if (a <= 0) h2 = s = l = NaN;
  else if (l <= 0 || l >= 1) h2 = s = NaN;
  else if (s <= 0) h2 = NaN;
  return new Hsl(h2, s, l, a);
}
function hslConvert(o) {
  if (o instanceof Hsl) return new Hsl(o.h, o.s, o.l, o.opacity);
  if (!(o instanceof Color)) o = color(o);
  if (!o) return new Hsl();
  if (o instanceof Hsl) return o;
  o = o.rgb();
  var r = o.r / 255, g = o.g / 255, b = o.b / 255, min = Math.min(r, g, b), max = Math.max(r, g, b), h2 = NaN, s = max - min, l = (max + min) / 2;
  if (s) {
    if (r === max) h2 = (g - b) / s + (g < b) * 6;
    else if (g === max) h2 = (b - r) / s + 2;
    else h2 = (r - g) / s + 4;
    s /= l < 0.5 ? max + min : 2 - max - min;
    h2 *= 60;
  } else {
    s = l > 0 && l < 1 ? 0 : h2;
  }
  return new Hsl(h2, s, l, o.opacity);
}
function hsl(h2, s, l, opacity) {
  return arguments.length === 1 ? hslConvert(h2) : new Hsl(h2, s, l, opacity == null ? 1 : opacity);
}
function Hsl(h2, s, l, opacity) {
  this.h = +h2;
  this.s = +s;
  this.l = +l;
  this.opacity = +opacity;
}
define(Hsl, hsl, extend(Color, {
  brighter(k) {
    k = k == null ? brighter : Math.pow(brighter, k);
    return new Hsl(this.h, this.s, this.l * k, this.opacity);
  },
  darker(k) {
    k = k == null ? darker : Math.pow(darker, k);
    return new Hsl(this.h, this.s, this.l * k, this.opacity);
  },
  rgb() {
    var h2 = this.h % 360 + (this.h < 0) * 360, s = isNaN(h2) || isNaN(this.s) ? 0 : this.s, l = this.l, m2 = l + (l < 0.5 ? l : 1 - l) * s, m1 = 2 * l - m2;
    return new Rgb(
      hsl2rgb(h2 >= 240 ? h2 - 240 : h2 + 120, m1, m2),
      hsl2rgb(h2, m1, m2),
      hsl2rgb(h2 < 120 ? h2 + 240 : h2 - 120, m1, m2),
      this.opacity
    );
  },
  clamp() {
    return new Hsl(clamph(this.h), clampt(this.s), clampt(this.l), clampa(this.opacity));
  },
  displayable() {
    return (0 <= this.s && this.s <= 1 || isNaN(this.s)) && (0 <= this.l && this.l <= 1) && (0 <= this.opacity && this.opacity <= 1);
  },
  formatHsl() {
    const a = clampa(this.opacity);
    return `${a === 1 ? "hsl(" : "hsla("}${clamph(this.h)}, ${clampt(this.s) * 100}%, ${clampt(this.l) * 100}%${a === 1 ? ")" : `, ${a})`}`;
  }
}));
function clamph(value) {
  value = (value || 0) % 360;
  return value < 0 ? value + 360 : value;
}
function clampt(value) {
  return Math.max(0, Math.min(1, value || 0));
}
function hsl2rgb(h2, m1, m2) {
  return (h2 < 60 ? m1 + (m2 - m1) * h2 / 60 : h2 < 180 ? m2 : h2 < 240 ? m1 + (m2 - m1) * (240 - h2) / 60 : m1) * 255;
}
var radians = Math.PI / 180;
var degrees = 180 / Math.PI;
var K = 18;
var Xn = 0.96422;
var Yn = 1;
var Zn = 0.82521;
var t0 = 4 / 29;
var t1 = 6 / 29;
var t2 = 3 * t1 * t1;
var t3 = t1 * t1 * t1;
function labConvert(o) {
  if (o instanceof Lab) return new Lab(o.l, o.a, o.b, o.opacity);
  if (o instanceof Hcl) return hcl2lab(o);
  if (!(o instanceof Rgb)) o = rgbConvert(o);
  var r = rgb2lrgb(o.r), g = rgb2lrgb(o.g), b = rgb2lrgb(o.b), y = xyz2lab((0.2225045 * r + 0.7168786 * g + 0.0606169 * b) / Yn), x, z;
  if (r === g && g === b) x = z = y;
  else {
    x = xyz2lab((0.4360747 * r + 0.3850649 * g + 0.1430804 * b) / Xn);
    z = xyz2lab((0.0139322 * r + 0.0971045 * g + 0.7141733 * b) / Zn);
  }
  return new Lab(116 * y - 16, 500 * (x - y), 200 * (y - z), o.opacity);
}
function lab(l, a, b, opacity) {
  return arguments.length === 1 ? labConvert(l) : new Lab(l, a, b, opacity == null ? 1 : opacity);
}
function Lab(l, a, b, opacity) {
  this.l = +l;
  this.a = +a;
  this.b = +b;
  this.opacity = +opacity;
}
define(Lab, lab, extend(Color, {
  brighter(k) {
    return new Lab(this.l + K * (k == null ? 1 : k), this.a, this.b, this.opacity);
  },
  darker(k) {
    return new Lab(this.l - K * (k == null ? 1 : k), this.a, this.b, this.opacity);
  },
  rgb() {
    var y = (this.l + 16) / 116, x = isNaN(this.a) ? y : y + this.a / 500, z = isNaN(this.b) ? y : y - this.b / 200;
    x = Xn * lab2xyz(x);
    y = Yn * lab2xyz(y);
    z = Zn * lab2xyz(z);
    return new Rgb(
      lrgb2rgb(3.1338561 * x - 1.6168667 * y - 0.4906146 * z),
      lrgb2rgb(-0.9787684 * x + 1.9161415 * y + 0.033454 * z),
      lrgb2rgb(0.0719453 * x - 0.2289914 * y + 1.4052427 * z),
      this.opacity
    );
  }
}));
function xyz2lab(t) {
  return t > t3 ? Math.pow(t, 1 / 3) : t / t2 + t0;
}
function lab2xyz(t) {
  return t > t1 ? t * t * t : t2 * (t - t0);
}
function lrgb2rgb(x) {
  return 255 * (x <= 31308e-7 ? 12.92 * x : 1.055 * Math.pow(x, 1 / 2.4) - 0.055);
}
function rgb2lrgb(x) {
  return (x /= 255) <= 0.04045 ? x / 12.92 : Math.pow((x + 0.055) / 1.055, 2.4);
}
function hclConvert(o) {
  if (o instanceof Hcl) return new Hcl(o.h, o.c, o.l, o.opacity);
  if (!(o instanceof Lab)) o = labConvert(o);
  if (o.a === 0 && o.b === 0) return new Hcl(NaN, 0 < o.l && o.l < 100 ? 0 : NaN, o.l, o.opacity);
  var h2 = Math.atan2(o.b, o.a) * degrees;
  return new Hcl(h2 < 0 ? h2 + 360 : h2, Math.sqrt(o.a * o.a + o.b * o.b), o.l, o.opacity);
}
function hcl(h2, c, l, opacity) {
  return arguments.length === 1 ? hclConvert(h2) : new Hcl(h2, c, l, opacity == null ? 1 : opacity);
}
function Hcl(h2, c, l, opacity) {
  this.h = +h2;
  this.c = +c;
  this.l = +l;
  this.opacity = +opacity;
}
function hcl2lab(o) {
  if (isNaN(o.h)) return new Lab(o.l, 0, 0, o.opacity);
  var h2 = o.h * radians;
  return new Lab(o.l, Math.cos(h2) * o.c, Math.sin(h2) * o.c, o.opacity);
}
define(Hcl, hcl, extend(Color, {
  brighter(k) {
    return new Hcl(this.h, this.c, this.l + K * (k == null ? 1 : k), this.opacity);
  },
  darker(k) {
    return new Hcl(this.h, this.c, this.l - K * (k == null ? 1 : k), this.opacity);
  },
  rgb() {
    return hcl2lab(this).rgb();
  }
}));
var A = -0.14861;
var B = 1.78277;
var C = -0.29227;
var D = -0.90649;
var E = 1.97294;
var ED = E * D;
var EB = E * B;
var BC_DA = B * C - D * A;
function cubehelixConvert(o) {
  if (o instanceof Cubehelix) return new Cubehelix(o.h, o.s, o.l, o.opacity);
  if (!(o instanceof Rgb)) o = rgbConvert(o);
  var r = o.r / 255, g = o.g / 255, b = o.b / 255, l = (BC_DA * b + ED * r - EB * g) / (BC_DA + ED - EB), bl = b - l, k = (E * (g - l) - C * bl) / D, s = Math.sqrt(k * k + bl * bl) / (E * l * (1 - l)), h2 = s ? Math.atan2(k, bl) * degrees - 120 : NaN;
  return new Cubehelix(h2 < 0 ? h2 + 360 : h2, s, l, o.opacity);
}
function cubehelix(h2, s, l, opacity) {
  return arguments.length === 1 ? cubehelixConvert(h2) : new Cubehelix(h2, s, l, opacity == null ? 1 : opacity);
}
function Cubehelix(h2, s, l, opacity) {
  this.h = +h2;
  this.s = +s;
  this.l = +l;
  this.opacity = +opacity;
}
define(Cubehelix, cubehelix, extend(Color, {
  brighter(k) {
    k = k == null ? brighter : Math.pow(brighter, k);
    return new Cubehelix(this.h, this.s, this.l * k, this.opacity);
  },
  darker(k) {
    k = k == null ? darker : Math.pow(darker, k);
    return new Cubehelix(this.h, this.s, this.l * k, this.opacity);
  },
  rgb() {
    var h2 = isNaN(this.h) ? 0 : (this.h + 120) * radians, l = +this.l, a = isNaN(this.s) ? 0 : this.s * l * (1 - l), cosh2 = Math.cos(h2), sinh2 = Math.sin(h2);
    return new Rgb(
      255 * (l + a * (A * cosh2 + B * sinh2)),
      255 * (l + a * (C * cosh2 + D * sinh2)),
      255 * (l + a * (E * cosh2)),
      this.opacity
    );
  }
}));

// node_modules/d3-interpolate/dist/d3-interpolate.mjs
function basis(t12, v0, v1, v2, v3) {
  var t22 = t12 * t12, t32 = t22 * t12;
  return ((1 - 3 * t12 + 3 * t22 - t32) * v0 + (4 - 6 * t22 + 3 * t32) * v1 + (1 + 3 * t12 + 3 * t22 - 3 * t32) * v2 + t32 * v3) / 6;
}
function basis$1(values) {
  var n = values.length - 1;
  return function(t) {
    var i = t <= 0 ? t = 0 : t >= 1 ? (t = 1, n - 1) : Math.floor(t * n), v1 = values[i], v2 = values[i + 1], v0 = i > 0 ? values[i - 1] : 2 * v1 - v2, v3 = i < n - 1 ? values[i + 2] : 2 * v2 - v1;
    return basis((t - i / n) * n, v0, v1, v2, v3);
  };
}
function basisClosed(values) {
  var n = values.length;
  return function(t) {
    var i = Math.floor(((t %= 1) < 0 ? ++t : t) * n), v0 = values[(i + n - 1) % n], v1 = values[i % n], v2 = values[(i + 1) % n], v3 = values[(i + 2) % n];
    return basis((t - i / n) * n, v0, v1, v2, v3);
  };
}
var constant = (x) => () => x;
function linear(a, d) {
  return function(t) {
    return a + t * d;
  };
}
function exponential(a, b, y) {
  return a = Math.pow(a, y), b = Math.pow(b, y) - a, y = 1 / y, function(t) {
    return Math.pow(a + t * b, y);
  };
}
function hue$1(a, b) {
  var d = b - a;
  return d ? linear(a, d > 180 || d < -180 ? d - 360 * Math.round(d / 360) : d) : constant(isNaN(a) ? b : a);
}
function gamma(y) {
  return (y = +y) === 1 ? nogamma : function(a, b) {
    return b - a ? exponential(a, b, y) : constant(isNaN(a) ? b : a);
  };
}
function nogamma(a, b) {
  var d = b - a;
  return d ? linear(a, d) : constant(isNaN(a) ? b : a);
}
var rgb2 = function rgbGamma(y) {
  var color2 = gamma(y);
  function rgb3(start, end) {
    var r = color2((start = rgb(start)).r, (end = rgb(end)).r), g = color2(start.g, end.g), b = color2(start.b, end.b), opacity = nogamma(start.opacity, end.opacity);
    return function(t) {
      start.r = r(t);
      start.g = g(t);
      start.b = b(t);
      start.opacity = opacity(t);
      return start + "";
    };
  }
  rgb3.gamma = rgbGamma;
  return rgb3;
}(1);
function rgbSpline(spline) {
  return function(colors) {
    var n = colors.length, r = new Array(n), g = new Array(n), b = new Array(n), i, color2;
    for (i = 0; i < n; ++i) {
      color2 = rgb(colors[i]);
      r[i] = color2.r || 0;
      g[i] = color2.g || 0;
      b[i] = color2.b || 0;
    }
    r = spline(r);
    g = spline(g);
    b = spline(b);
    color2.opacity = 1;
    return function(t) {
      color2.r = r(t);
      color2.g = g(t);
      color2.b = b(t);
      return color2 + "";
    };
  };
}
var rgbBasis = rgbSpline(basis$1);
var rgbBasisClosed = rgbSpline(basisClosed);
function number(a, b) {
  return a = +a, b = +b, function(t) {
    return a * (1 - t) + b * t;
  };
}
var reA = /[-+]?(?:\d+\.?\d*|\.?\d+)(?:[eE][-+]?\d+)?/g;
var reB = new RegExp(reA.source, "g");
var degrees2 = 180 / Math.PI;
var identity = {
  translateX: 0,
  translateY: 0,
  rotate: 0,
  skewX: 0,
  scaleX: 1,
  scaleY: 1
};
function decompose(a, b, c, d, e, f) {
  var scaleX, scaleY, skewX;
  if (scaleX = Math.sqrt(a * a + b * b)) a /= scaleX, b /= scaleX;
  if (skewX = a * c + b * d) c -= a * skewX, d -= b * skewX;
  if (scaleY = Math.sqrt(c * c + d * d)) c /= scaleY, d /= scaleY, skewX /= scaleY;
  if (a * d < b * c) a = -a, b = -b, skewX = -skewX, scaleX = -scaleX;
  return {
    translateX: e,
    translateY: f,
    rotate: Math.atan2(b, a) * degrees2,
    skewX: Math.atan(skewX) * degrees2,
    scaleX,
    scaleY
  };
}
var svgNode;
function parseCss(value) {
  const m = new (typeof DOMMatrix === "function" ? DOMMatrix : WebKitCSSMatrix)(value + "");
  return m.isIdentity ? identity : decompose(m.a, m.b, m.c, m.d, m.e, m.f);
}
function parseSvg(value) {
  if (value == null) return identity;
  if (!svgNode) svgNode = document.createElementNS("http://www.w3.org/2000/svg", "g");
  svgNode.setAttribute("transform", value);
  if (!(value = svgNode.transform.baseVal.consolidate())) return identity;
  value = value.matrix;
  return decompose(value.a, value.b, value.c, value.d, value.e, value.f);
}
function interpolateTransform(parse, pxComma, pxParen, degParen) {
  function pop(s) {
    return s.length ? s.pop() + " " : "";
  }
  function translate(xa, ya, xb, yb, s, q) {
    if (xa !== xb || ya !== yb) {
      var i = s.push("translate(", null, pxComma, null, pxParen);
      q.push({ i: i - 4, x: number(xa, xb) }, { i: i - 2, x: number(ya, yb) });
    } else if (xb || yb) {
      s.push("translate(" + xb + pxComma + yb + pxParen);
    }
  }
  function rotate(a, b, s, q) {
    if (a !== b) {
      if (a - b > 180) b += 360;
      else if (b - a > 180) a += 360;
      q.push({ i: s.push(pop(s) + "rotate(", null, degParen) - 2, x: number(a, b) });
    } else if (b) {
      s.push(pop(s) + "rotate(" + b + degParen);
    }
  }
  function skewX(a, b, s, q) {
    if (a !== b) {
      q.push({ i: s.push(pop(s) + "skewX(", null, degParen) - 2, x: number(a, b) });
    } else if (b) {
      s.push(pop(s) + "skewX(" + b + degParen);
    }
  }
  function scale(xa, ya, xb, yb, s, q) {
    if (xa !== xb || ya !== yb) {
      var i = s.push(pop(s) + "scale(", null, ",", null, ")");
      q.push({ i: i - 4, x: number(xa, xb) }, { i: i - 2, x: number(ya, yb) });
    } else if (xb !== 1 || yb !== 1) {
      s.push(pop(s) + "scale(" + xb + "," + yb + ")");
    }
  }
  return function(a, b) {
    var s = [], q = [];
    a = parse(a), b = parse(b);
    translate(a.translateX, a.translateY, b.translateX, b.translateY, s, q);
    rotate(a.rotate, b.rotate, s, q);
    skewX(a.skewX, b.skewX, s, q);
    scale(a.scaleX, a.scaleY, b.scaleX, b.scaleY, s, q);
    a = b = null;
    return function(t) {
      var i = -1, n = q.length, o;
      while (++i < n) s[(o = q[i]).i] = o.x(t);
      return s.join("");
    };
  };
}
var interpolateTransformCss = interpolateTransform(parseCss, "px, ", "px)", "deg)");
var interpolateTransformSvg = interpolateTransform(parseSvg, ", ", ")", ")");
var epsilon2 = 1e-12;
function cosh(x) {
  return ((x = Math.exp(x)) + 1 / x) / 2;
}
function sinh(x) {
  return ((x = Math.exp(x)) - 1 / x) / 2;
}
function tanh(x) {
  return ((x = Math.exp(2 * x)) - 1) / (x + 1);
}
var zoom = function zoomRho(rho, rho2, rho4) {
  function zoom2(p0, p1) {
    var ux0 = p0[0], uy0 = p0[1], w0 = p0[2], ux1 = p1[0], uy1 = p1[1], w1 = p1[2], dx = ux1 - ux0, dy = uy1 - uy0, d2 = dx * dx + dy * dy, i, S;
    if (d2 < epsilon2) {
      S = Math.log(w1 / w0) / rho;
      i = function(t) {
        return [
          ux0 + t * dx,
          uy0 + t * dy,
          w0 * Math.exp(rho * t * S)
        ];
      };
    } else {
      var d1 = Math.sqrt(d2), b0 = (w1 * w1 - w0 * w0 + rho4 * d2) / (2 * w0 * rho2 * d1), b1 = (w1 * w1 - w0 * w0 - rho4 * d2) / (2 * w1 * rho2 * d1), r0 = Math.log(Math.sqrt(b0 * b0 + 1) - b0), r1 = Math.log(Math.sqrt(b1 * b1 + 1) - b1);
      S = (r1 - r0) / rho;
      i = function(t) {
        var s = t * S, coshr0 = cosh(r0), u = w0 / (rho2 * d1) * (coshr0 * tanh(rho * s + r0) - sinh(r0));
        return [
          ux0 + u * dx,
          uy0 + u * dy,
          w0 * coshr0 / cosh(rho * s + r0)
        ];
      };
    }
    i.duration = Math.abs(S) * 1e3 * rho / Math.SQRT2;
    return i;
  }
  zoom2.rho = function(_) {
    var _1 = Math.max(1e-3, +_), _2 = _1 * _1, _4 = _2 * _2;
    return zoomRho(_1, _2, _4);
  };
  return zoom2;
}(Math.SQRT2, 2, 4);
function hsl2(hue) {
  return function(start, end) {
    var h2 = hue((start = hsl(start)).h, (end = hsl(end)).h), s = nogamma(start.s, end.s), l = nogamma(start.l, end.l), opacity = nogamma(start.opacity, end.opacity);
    return function(t) {
      start.h = h2(t);
      start.s = s(t);
      start.l = l(t);
      start.opacity = opacity(t);
      return start + "";
    };
  };
}
var hsl_default = hsl2(hue$1);
var hslLong = hsl2(nogamma);
function hcl2(hue) {
  return function(start, end) {
    var h2 = hue((start = hcl(start)).h, (end = hcl(end)).h), c = nogamma(start.c, end.c), l = nogamma(start.l, end.l), opacity = nogamma(start.opacity, end.opacity);
    return function(t) {
      start.h = h2(t);
      start.c = c(t);
      start.l = l(t);
      start.opacity = opacity(t);
      return start + "";
    };
  };
}
var hcl_default = hcl2(hue$1);
var hclLong = hcl2(nogamma);
function cubehelix2(hue) {
  return function cubehelixGamma(y) {
    y = +y;
    function cubehelix3(start, end) {
      var h2 = hue((start = cubehelix(start)).h, (end = cubehelix(end)).h), s = nogamma(start.s, end.s), l = nogamma(start.l, end.l), opacity = nogamma(start.opacity, end.opacity);
      return function(t) {
        start.h = h2(t);
        start.s = s(t);
        start.l = l(Math.pow(t, y));
        start.opacity = opacity(t);
        return start + "";
      };
    }
    cubehelix3.gamma = cubehelixGamma;
    return cubehelix3;
  }(1);
}
var cubehelix_default = cubehelix2(hue$1);
var cubehelixLong = cubehelix2(nogamma);

// node_modules/d3-scale-chromatic/src/ramp.js
var ramp_default = (scheme2) => rgbBasis(scheme2[scheme2.length - 1]);

// node_modules/d3-scale-chromatic/src/diverging/RdBu.js
var scheme = new Array(3).concat(
  "ef8a62f7f7f767a9cf",
  "ca0020f4a58292c5de0571b0",
  "ca0020f4a582f7f7f792c5de0571b0",
  "b2182bef8a62fddbc7d1e5f067a9cf2166ac",
  "b2182bef8a62fddbc7f7f7f7d1e5f067a9cf2166ac",
  "b2182bd6604df4a582fddbc7d1e5f092c5de4393c32166ac",
  "b2182bd6604df4a582fddbc7f7f7f7d1e5f092c5de4393c32166ac",
  "67001fb2182bd6604df4a582fddbc7d1e5f092c5de4393c32166ac053061",
  "67001fb2182bd6604df4a582fddbc7f7f7f7d1e5f092c5de4393c32166ac053061"
).map(colors_default);
var RdBu_default = ramp_default(scheme);

// node_modules/d3-scale-chromatic/src/sequential-multi/cividis.js
function cividis_default(t) {
  t = Math.max(0, Math.min(1, t));
  return "rgb(" + Math.max(0, Math.min(255, Math.round(-4.54 - t * (35.34 - t * (2381.73 - t * (6402.7 - t * (7024.72 - t * 2710.57))))))) + ", " + Math.max(0, Math.min(255, Math.round(32.49 + t * (170.73 + t * (52.82 - t * (131.46 - t * (176.58 - t * 67.37))))))) + ", " + Math.max(0, Math.min(255, Math.round(81.24 + t * (442.36 - t * (2482.43 - t * (6167.24 - t * (6614.94 - t * 2475.67))))))) + ")";
}

// node_modules/d3-scale-chromatic/src/sequential-multi/viridis.js
function ramp(range) {
  var n = range.length;
  return function(t) {
    return range[Math.max(0, Math.min(n - 1, Math.floor(t * n)))];
  };
}
var viridis_default = ramp(colors_default("44015444025645045745055946075a46085c460a5d460b5e470d60470e6147106347116447136548146748166848176948186a481a6c481b6d481c6e481d6f481f70482071482173482374482475482576482677482878482979472a7a472c7a472d7b472e7c472f7d46307e46327e46337f463480453581453781453882443983443a83443b84433d84433e85423f854240864241864142874144874045884046883f47883f48893e49893e4a893e4c8a3d4d8a3d4e8a3c4f8a3c508b3b518b3b528b3a538b3a548c39558c39568c38588c38598c375a8c375b8d365c8d365d8d355e8d355f8d34608d34618d33628d33638d32648e32658e31668e31678e31688e30698e306a8e2f6b8e2f6c8e2e6d8e2e6e8e2e6f8e2d708e2d718e2c718e2c728e2c738e2b748e2b758e2a768e2a778e2a788e29798e297a8e297b8e287c8e287d8e277e8e277f8e27808e26818e26828e26828e25838e25848e25858e24868e24878e23888e23898e238a8d228b8d228c8d228d8d218e8d218f8d21908d21918c20928c20928c20938c1f948c1f958b1f968b1f978b1f988b1f998a1f9a8a1e9b8a1e9c891e9d891f9e891f9f881fa0881fa1881fa1871fa28720a38620a48621a58521a68522a78522a88423a98324aa8325ab8225ac8226ad8127ad8128ae8029af7f2ab07f2cb17e2db27d2eb37c2fb47c31b57b32b67a34b67935b77937b87838b9773aba763bbb753dbc743fbc7340bd7242be7144bf7046c06f48c16e4ac16d4cc26c4ec36b50c46a52c56954c56856c66758c7655ac8645cc8635ec96260ca6063cb5f65cb5e67cc5c69cd5b6ccd5a6ece5870cf5773d05675d05477d1537ad1517cd2507fd34e81d34d84d44b86d54989d5488bd6468ed64590d74393d74195d84098d83e9bd93c9dd93ba0da39a2da37a5db36a8db34aadc32addc30b0dd2fb2dd2db5de2bb8de29bade28bddf26c0df25c2df23c5e021c8e020cae11fcde11dd0e11cd2e21bd5e21ad8e219dae319dde318dfe318e2e418e5e419e7e419eae51aece51befe51cf1e51df4e61ef6e620f8e621fbe723fde725"));
var magma = ramp(colors_default("00000401000501010601010802010902020b02020d03030f03031204041405041606051806051a07061c08071e0907200a08220b09240c09260d0a290e0b2b100b2d110c2f120d31130d34140e36150e38160f3b180f3d19103f1a10421c10441d11471e114920114b21114e22115024125325125527125829115a2a115c2c115f2d11612f116331116533106734106936106b38106c390f6e3b0f703d0f713f0f72400f74420f75440f764510774710784910784a10794c117a4e117b4f127b51127c52137c54137d56147d57157e59157e5a167e5c167f5d177f5f187f601880621980641a80651a80671b80681c816a1c816b1d816d1d816e1e81701f81721f817320817521817621817822817922827b23827c23827e24828025828125818326818426818627818827818928818b29818c29818e2a81902a81912b81932b80942c80962c80982d80992d809b2e7f9c2e7f9e2f7fa02f7fa1307ea3307ea5317ea6317da8327daa337dab337cad347cae347bb0357bb2357bb3367ab5367ab73779b83779ba3878bc3978bd3977bf3a77c03a76c23b75c43c75c53c74c73d73c83e73ca3e72cc3f71cd4071cf4070d0416fd2426fd3436ed5446dd6456cd8456cd9466bdb476adc4869de4968df4a68e04c67e24d66e34e65e44f64e55064e75263e85362e95462ea5661eb5760ec5860ed5a5fee5b5eef5d5ef05f5ef1605df2625df2645cf3655cf4675cf4695cf56b5cf66c5cf66e5cf7705cf7725cf8745cf8765cf9785df9795df97b5dfa7d5efa7f5efa815ffb835ffb8560fb8761fc8961fc8a62fc8c63fc8e64fc9065fd9266fd9467fd9668fd9869fd9a6afd9b6bfe9d6cfe9f6dfea16efea36ffea571fea772fea973feaa74feac76feae77feb078feb27afeb47bfeb67cfeb77efeb97ffebb81febd82febf84fec185fec287fec488fec68afec88cfeca8dfecc8ffecd90fecf92fed194fed395fed597fed799fed89afdda9cfddc9efddea0fde0a1fde2a3fde3a5fde5a7fde7a9fde9aafdebacfcecaefceeb0fcf0b2fcf2b4fcf4b6fcf6b8fcf7b9fcf9bbfcfbbdfcfdbf"));
var inferno = ramp(colors_default("00000401000501010601010802010a02020c02020e03021004031204031405041706041907051b08051d09061f0a07220b07240c08260d08290e092b10092d110a30120a32140b34150b37160b39180c3c190c3e1b0c411c0c431e0c451f0c48210c4a230c4c240c4f260c51280b53290b552b0b572d0b592f0a5b310a5c320a5e340a5f3609613809623909633b09643d09653e0966400a67420a68440a68450a69470b6a490b6a4a0c6b4c0c6b4d0d6c4f0d6c510e6c520e6d540f6d550f6d57106e59106e5a116e5c126e5d126e5f136e61136e62146e64156e65156e67166e69166e6a176e6c186e6d186e6f196e71196e721a6e741a6e751b6e771c6d781c6d7a1d6d7c1d6d7d1e6d7f1e6c801f6c82206c84206b85216b87216b88226a8a226a8c23698d23698f24699025689225689326679526679727669827669a28659b29649d29649f2a63a02a63a22b62a32c61a52c60a62d60a82e5fa92e5eab2f5ead305dae305cb0315bb1325ab3325ab43359b63458b73557b93556ba3655bc3754bd3853bf3952c03a51c13a50c33b4fc43c4ec63d4dc73e4cc83f4bca404acb4149cc4248ce4347cf4446d04545d24644d34743d44842d54a41d74b3fd84c3ed94d3dda4e3cdb503bdd513ade5238df5337e05536e15635e25734e35933e45a31e55c30e65d2fe75e2ee8602de9612bea632aeb6429eb6628ec6726ed6925ee6a24ef6c23ef6e21f06f20f1711ff1731df2741cf3761bf37819f47918f57b17f57d15f67e14f68013f78212f78410f8850ff8870ef8890cf98b0bf98c0af98e09fa9008fa9207fa9407fb9606fb9706fb9906fb9b06fb9d07fc9f07fca108fca309fca50afca60cfca80dfcaa0ffcac11fcae12fcb014fcb216fcb418fbb61afbb81dfbba1ffbbc21fbbe23fac026fac228fac42afac62df9c72ff9c932f9cb35f8cd37f8cf3af7d13df7d340f6d543f6d746f5d949f5db4cf4dd4ff4df53f4e156f3e35af3e55df2e661f2e865f2ea69f1ec6df1ed71f1ef75f1f179f2f27df2f482f3f586f3f68af4f88ef5f992f6fa96f8fb9af9fc9dfafda1fcffa4"));
var plasma = ramp(colors_default("0d088710078813078916078a19068c1b068d1d068e20068f2206902406912605912805922a05932c05942e05952f059631059733059735049837049938049a3a049a3c049b3e049c3f049c41049d43039e44039e46039f48039f4903a04b03a14c02a14e02a25002a25102a35302a35502a45601a45801a45901a55b01a55c01a65e01a66001a66100a76300a76400a76600a76700a86900a86a00a86c00a86e00a86f00a87100a87201a87401a87501a87701a87801a87a02a87b02a87d03a87e03a88004a88104a78305a78405a78606a68707a68808a68a09a58b0aa58d0ba58e0ca48f0da4910ea3920fa39410a29511a19613a19814a099159f9a169f9c179e9d189d9e199da01a9ca11b9ba21d9aa31e9aa51f99a62098a72197a82296aa2395ab2494ac2694ad2793ae2892b02991b12a90b22b8fb32c8eb42e8db52f8cb6308bb7318ab83289ba3388bb3488bc3587bd3786be3885bf3984c03a83c13b82c23c81c33d80c43e7fc5407ec6417dc7427cc8437bc9447aca457acb4679cc4778cc4977cd4a76ce4b75cf4c74d04d73d14e72d24f71d35171d45270d5536fd5546ed6556dd7566cd8576bd9586ada5a6ada5b69db5c68dc5d67dd5e66de5f65de6164df6263e06363e16462e26561e26660e3685fe4695ee56a5de56b5de66c5ce76e5be76f5ae87059e97158e97257ea7457eb7556eb7655ec7754ed7953ed7a52ee7b51ef7c51ef7e50f07f4ff0804ef1814df1834cf2844bf3854bf3874af48849f48948f58b47f58c46f68d45f68f44f79044f79143f79342f89441f89540f9973ff9983ef99a3efa9b3dfa9c3cfa9e3bfb9f3afba139fba238fca338fca537fca636fca835fca934fdab33fdac33fdae32fdaf31fdb130fdb22ffdb42ffdb52efeb72dfeb82cfeba2cfebb2bfebd2afebe2afec029fdc229fdc328fdc527fdc627fdc827fdca26fdcb26fccd25fcce25fcd025fcd225fbd324fbd524fbd724fad824fada24f9dc24f9dd25f8df25f8e125f7e225f7e425f6e626f6e826f5e926f5eb27f4ed27f3ee27f3f027f2f227f1f426f1f525f0f724f0f921"));

// src/lib/colors.js
var SEQUENTIAL = {
  viridis: viridis_default,
  cividis: cividis_default,
  magma,
  inferno,
  plasma
};
var SCHEMES = Object.keys(SEQUENTIAL);
var STEPS = 256;
function channels(color2) {
  const hex2 = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color2);
  if (hex2) return [parseInt(hex2[1], 16), parseInt(hex2[2], 16), parseInt(hex2[3], 16)];
  const rgb3 = /^rgba?\(\s*([\d.]+)[,\s]+([\d.]+)[,\s]+([\d.]+)/i.exec(color2);
  if (rgb3) return [Number(rgb3[1]), Number(rgb3[2]), Number(rgb3[3])];
  throw new TypeError(`a colour is written #rrggbb or rgb(r, g, b), not ${color2}`);
}
function luminance(color2) {
  const [r, g, b] = channels(color2).map((channel) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}
function inkOn(fill2) {
  return contrast(fill2, "#000000") >= contrast(fill2, "#ffffff") ? "#000000" : "#ffffff";
}
var tables = /* @__PURE__ */ new Map();
function colorTable(scheme2, diverging) {
  const name = diverging ? "diverging" : scheme2;
  let table = tables.get(name);
  if (!table) {
    const interpolate = diverging ? RdBu_default : SEQUENTIAL[scheme2] ?? viridis_default;
    const fill2 = Array.from({ length: STEPS }, (_, step) => interpolate(step / (STEPS - 1)));
    tables.set(name, table = { fill: fill2, ink: fill2.map(inkOn) });
  }
  return table;
}

// src/lib/theme.js
function themeOf(root) {
  const style = getComputedStyle(root);
  const color2 = (name) => style.getPropertyValue(`--workbench-${name}`).trim();
  return {
    background: mixable(style.backgroundColor, style.color),
    header: color2("header"),
    ink: color2("ink"),
    faint: color2("faint"),
    line: color2("line"),
    focus: color2("focus"),
    font: style.fontFamily
  };
}
function mixable(background, ink) {
  try {
    channels(background);
    return background;
  } catch {
    return /^rgb\(\s*(1[5-9]\d|2\d\d)/.test(ink) ? "rgb(0, 0, 0)" : "rgb(255, 255, 255)";
  }
}

// src/lib/lifecycle.js
function redrawOnChange({ model, traits, root, frame, stopped }) {
  for (const name of traits) model.on(`change:${name}`, frame.request);
  const sizes = new ResizeObserver(frame.request);
  sizes.observe(root);
  const unwatch = watchTheme(frame.request);
  return () => {
    stopped.abort();
    for (const name of traits) model.off(`change:${name}`, frame.request);
    sizes.disconnect();
    unwatch();
    frame.cancel();
    root.remove();
  };
}

// src/lib/tooltip.js
function tooltip(widget) {
  const element = h("div", { class: `workbench__tooltip ${widget}__tooltip`, popover: "manual", role: "tooltip" });
  function hide() {
    if (!element.classList.contains("is-open")) return;
    element.classList.remove("is-open");
    element.hidePopover?.();
  }
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
function place(anchor, box, room) {
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
    top: Math.max(gap, top)
  };
}

// src/lib/view.js
function view(name, { model, el, role, traits, draw }) {
  const stopped = new AbortController();
  const frame = frameScheduler(draw);
  const both = (part) => `workbench__${part} ${name}__${part}`;
  const title = h("div", { class: both("title") });
  const scroller = h("div", { class: both("scroll"), tabindex: 0, role: "application", "aria-roledescription": role, ...OWN_KEYS });
  const status = h("div", { class: both("status"), role: "status" });
  const stage = h("div", { class: both("stage") }, scroller, status);
  const readout = h("p", { class: both("readout"), "aria-live": "polite" });
  const tip = tooltip(name);
  const root = h("div", { class: `workbench-widget ${name}` });
  function choose(changes) {
    for (const [trait, value] of Object.entries(changes)) model.set(trait, value);
    model.save_changes();
  }
  const hasFocus = (element = scroller) => (
    /** @type {Document | ShadowRoot} */
    root.getRootNode().activeElement === element
  );
  function head(state, label) {
    title.textContent = state.title;
    title.hidden = state.title === "";
    if (label !== void 0) scroller.setAttribute("aria-label", label);
    if (state.status === void 0) return;
    status.textContent = state.status;
    stage.classList.toggle("is-stale", state.status !== "");
    stage.classList.toggle("is-error", state.status.startsWith("error"));
  }
  function say(words) {
    if (readout.textContent !== words) readout.textContent = words;
  }
  function open(parts) {
    root.append(...parts);
    el.append(root);
    const close = redrawOnChange({ model, traits, root, frame, stopped });
    draw();
    return close;
  }
  return { title, scroller, stage, readout, tip, root, frame, listening: { signal: stopped.signal }, choose, hasFocus, head, say, open };
}

// src/lib/sign_colors.js
var WANTED_CONTRAST = 5;
var known = /* @__PURE__ */ new Map();
function signColors(background) {
  let found = known.get(background);
  if (!found) {
    const { fill: fill2 } = colorTable("", true);
    const best = (half) => half.reduce((a, b) => distance(b, background) < distance(a, background) ? b : a);
    found = { negative: best(fill2.slice(0, STEPS / 2)), positive: best(fill2.slice(STEPS / 2)) };
    known.set(background, found);
  }
  return found;
}
var distance = (color2, background) => Math.abs(contrast(color2, background) - WANTED_CONTRAST);
function mix(from, to, share) {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((value, i) => Math.round(value + share * (b[i] - value))).join(", ")})`;
}
function shade(value, most, background) {
  if (!(most > 0) || value === 0) return "";
  const { positive, negative } = signColors(background);
  return mix(background, value < 0 ? negative : positive, 0.08 + 0.82 * Math.min(1, Math.abs(value) / most));
}

// src/lib/fit_text.js
function fitText(text, width, measure) {
  if (measure(text) <= width) return text;
  const characters = Array.from(text.slice(0, 200));
  let count = characters.length;
  while (count > 1 && measure(`${characters.slice(0, count).join("").trimEnd()}…`) > width) count -= 1;
  return `${characters.slice(0, count).join("").trimEnd()}…`;
}

// src/lib/arrays.js
var TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array
};
var halves = null;
function halfToNumber(bits) {
  const sign2 = bits & 32768 ? -1 : 1;
  const exponent = bits >> 10 & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign2 * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign2 * Infinity;
  return sign2 * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
function halfTable() {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
  return halves;
}
function decode(payload) {
  const { data, dtype, shape } = payload;
  const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  const count = shape.reduce((product, size) => product * size, 1);
  let values;
  if (dtype === "float16") {
    const table = halfTable();
    const bits = new Uint16Array(
      /** @type {ArrayBuffer} */
      buffer
    );
    values = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i += 1) values[i] = table[bits[i]];
  } else {
    const type = TYPES[
      /** @type {keyof typeof TYPES} */
      dtype
    ];
    if (!type) throw new TypeError(`arrays travel as ${Object.keys(TYPES).join(", ")} or float16, not ${dtype}`);
    values = new type(
      /** @type {ArrayBuffer} */
      buffer
    );
  }
  if (values.length !== count) {
    throw new RangeError(`an array of shape [${shape}] has ${count} values, its bytes hold ${values.length}`);
  }
  return { values, shape };
}
var seen = /* @__PURE__ */ new WeakMap();
function decodeOnce(payload) {
  let array = seen.get(payload);
  if (!array) seen.set(payload, array = decode(payload));
  return array;
}

// src/feature_grid/state.js
var TRAITS = [
  "title",
  "status",
  "order",
  "n_shown",
  "chosen",
  "feature",
  "position",
  "_tokens",
  "_features",
  "_values",
  "_explained"
];
var MOST_SHOWN = 32;
var ORDERS = {
  max: "most active anywhere",
  sum: "most active in sum",
  position: "most active at the position",
  chosen: "chosen by hand"
};
function readState(model) {
  const { values } = decodeOnce(model.get("_values").values);
  const given = {
    title: model.get("title"),
    status: model.get("status"),
    tokens: model.get("_tokens"),
    features: model.get("_features"),
    values,
    explained: decodeOnce(model.get("_explained").values).values,
    order: model.get("order"),
    nShown: model.get("n_shown"),
    chosen: model.get("chosen"),
    feature: model.get("feature"),
    position: model.get("position")
  };
  return { ...given, rows: shownRows(given), most: greatest(values) };
}
function greatest(values) {
  let most = 0;
  for (let i = 0; i < values.length; i += 1) most = Math.max(most, sizeOf(values[i]));
  return most;
}
var sizeOf = (value) => Number.isNaN(value) ? 0 : Math.abs(value);
var valueAt = ({ tokens, values }, feature, pos) => values[feature * tokens.length + pos];
function peak(state, feature) {
  let best = 0;
  for (let pos = 1; pos < state.tokens.length; pos += 1) {
    if (sizeOf(valueAt(state, feature, pos)) > sizeOf(valueAt(state, feature, best))) best = pos;
  }
  return best;
}
function shownRows(state) {
  const { tokens, features, order, nShown, chosen, position } = state;
  if (order === "chosen") {
    const index = new Map(features.map((feature, i) => [feature.name, i]));
    return chosen.flatMap((name) => index.get(name) ?? []).slice(0, MOST_SHOWN);
  }
  const place2 = position < 0 ? tokens.length - 1 : position;
  const size = features.map((_, feature) => {
    if (order === "position") return sizeOf(valueAt(state, feature, place2));
    if (order === "max") return sizeOf(valueAt(state, feature, peak(state, feature)));
    let sum = 0;
    for (let pos = 0; pos < tokens.length; pos += 1) sum += sizeOf(valueAt(state, feature, pos));
    return sum;
  });
  const there = features.map((_, i) => i).filter((i) => order !== "position" || size[i] > 0);
  return there.sort((a, b) => size[b] - size[a] || a - b).slice(0, Math.min(nShown, MOST_SHOWN));
}
function toggled({ chosen }, name) {
  if (chosen.includes(name)) return chosen.filter((other) => other !== name);
  return chosen.length < MOST_SHOWN ? [...chosen, name] : chosen;
}

// src/lib/numbers.js
function formatNumber(value, digits) {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text;
  if (size >= 1e7 || size > 0 && size < 0.5 * 10 ** -digits) {
    text = value.toExponential(1);
  } else {
    text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }
  return text.replace(/-/g, "−");
}
function formatRank(rank) {
  return rank.toLocaleString("en-US");
}

// src/feature_grid/text.js
var short = (value) => Number.isNaN(value) ? "not known" : formatNumber(value, 2);
function cellText(value) {
  if (Number.isNaN(value)) return "?";
  if (value === 0) return "";
  return Math.abs(value) < 0.05 ? "≈0" : formatNumber(value, Math.abs(value) < 9.95 ? 1 : 0);
}
function rowText({ name, label }) {
  const found = /^L(\d+)\.\w+\/(.+)$/.exec(name);
  const brief = found ? `${found[1]}/${found[2]}` : name;
  return label.trim() ? `${brief} ${visibleToken(label.trim())}` : brief;
}
var fullName = ({ name, label }) => label ? `${name} “${visibleToken(label)}”` : name;
var tokenText = ({ tokens }, pos) => `“${visibleToken(tokens[pos])}” (position ${pos})`;
function explainedText({ explained }, pos) {
  return Number.isNaN(explained[pos]) ? "" : `; variance explained at the position ${short(explained[pos])}`;
}
function placeText(state, feature, pos) {
  if (feature === null) return pos === null ? "" : `${tokenText(state, pos)}${explainedText(state, pos)}`;
  const best = peak(state, feature);
  const most = `at most ${short(valueAt(state, feature, best))} at ${tokenText(state, best)}`;
  const name = fullName(state.features[feature]);
  if (pos === null) return `${name}: ${most}`;
  return `${name}: ${short(valueAt(state, feature, pos))} at ${tokenText(state, pos)}; ${most}${explainedText(state, pos)}`;
}

// src/feature_grid/painter.js
var TEXT_PX = 12;
var SMALL_PX = 10;
var Painter = class {
  /** @param {CanvasRenderingContext2D} context */
  constructor(context) {
    this.context = context;
    this.tokens = tokenWriter(context);
  }
  /**
   * Width of the widest row label, in CSS pixels.
   * @param {State} state
   * @param {Theme} theme
   */
  labelWidth(state, theme) {
    this.context.font = `${TEXT_PX}px ${theme.font}`;
    return Math.ceil(Math.max(0, ...state.rows.map((feature) => this.context.measureText(rowText(state.features[feature])).width)));
  }
  /**
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   * @param {Marks} marks
   */
  paint(state, layout, view2, theme, marks) {
    const { context } = this;
    const { hover, focus, selected } = marks;
    inside(context, [layout.left, layout.top, view2.width - layout.left, view2.height - layout.top], () => {
      this.paintCells(state, layout, view2, theme);
      const cell = selected.row !== null && selected.pos !== null ? { row: selected.row, pos: selected.pos } : null;
      for (const [name, at] of Object.entries({ hover, selected: cell, focus })) {
        if (at) ring(context, layout, view2, at, rings(theme.focus)[
          /** @type {"hover"} */
          name
        ]);
      }
    });
    this.paintHeaders(state, layout, view2, theme, marks);
  }
  /**
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   */
  paintCells(state, layout, view2, theme) {
    const { context } = this;
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view2);
    context.font = `11px ${theme.font}`;
    context.textAlign = "center";
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x, y } = cellOrigin(layout, view2, { row, pos });
        const value = valueAt(state, state.rows[layout.rows - 1 - row], pos);
        const unknown = Number.isNaN(value);
        const fill2 = unknown ? theme.background : shade(value, state.most, theme.background) || theme.header;
        context.fillStyle = fill2;
        context.fillRect(x, y, layout.cellWidth - 1, layout.cellHeight - 1);
        const text = cellText(value);
        if (!text) continue;
        context.fillStyle = unknown ? theme.faint : inkOn(fill2);
        context.fillText(text, x + (layout.cellWidth - 1) / 2, y + layout.cellHeight / 2, layout.cellWidth - 3);
      }
    }
  }
  /**
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   * @param {Marks} marks
   */
  paintHeaders(state, layout, view2, theme, { hover, focus, selected }) {
    const { context } = this;
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view2);
    const active = hover ?? focus ?? selected;
    const measure = (text) => context.measureText(text).width;
    context.fillStyle = theme.header;
    context.fillRect(0, 0, view2.width, layout.top);
    context.fillRect(0, 0, layout.left, view2.height);
    inside(context, [layout.left, 0, view2.width - layout.left, layout.top], () => {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x } = cellOrigin(layout, view2, { row: 0, pos });
        const width = layout.cellWidth - 1;
        if (active.pos === pos || selected.pos === pos) {
          context.fillStyle = theme.line;
          context.fillRect(x, 0, width, layout.top - 1);
        }
        this.tokens.centre(state.tokens[pos], { x, middle: 13, width, room: width - 4, ink: theme.ink, font: `${TEXT_PX}px ${theme.font}` });
        context.font = `${SMALL_PX}px ${theme.font}`;
        context.fillStyle = theme.faint;
        context.textAlign = "center";
        context.fillText(String(pos), x + width / 2, 29);
      }
    });
    context.font = `${TEXT_PX}px ${theme.font}`;
    inside(context, [0, layout.top, layout.left, view2.height - layout.top], () => {
      for (let row = firstRow; row <= lastRow; row += 1) {
        const { y } = cellOrigin(layout, view2, { row, pos: 0 });
        if (active.row === row || selected.row === row) {
          context.fillStyle = theme.line;
          context.fillRect(0, y, layout.left, layout.cellHeight - 1);
        }
        context.textAlign = "left";
        const text = fitText(rowText(state.features[state.rows[layout.rows - 1 - row]]), layout.left - 16, measure);
        context.fillStyle = theme.ink;
        context.fillText(text, 8, y + layout.cellHeight / 2);
      }
    });
    context.font = `${SMALL_PX}px ${theme.font}`;
    context.textAlign = "right";
    context.fillStyle = theme.faint;
    context.fillText("token", layout.left - 8, 13);
    context.fillText("position", layout.left - 8, 29);
    context.fillStyle = theme.line;
    context.fillRect(layout.left - 2, 0, 1, view2.height);
    context.fillRect(0, layout.top - 2, view2.width, 1);
  }
};

// src/feature_grid/toolbar.js
function toolbar(choose) {
  let state;
  let drawnFrom = [];
  const order = h(
    "select",
    { class: "workbench__select", "aria-label": "Which features are shown", ...OWN_KEYS, onchange: () => choose({ order: order.value }) },
    ...Object.entries(ORDERS).map(([value, text]) => h("option", { value }, text))
  );
  const slider = h("input", {
    type: "range",
    min: 1,
    step: 1,
    class: "workbench__slider feature-grid__slider",
    "aria-label": "Number of features shown at most",
    ...OWN_KEYS,
    oninput: () => choose({ n_shown: Number(slider.value) })
  });
  const count = h("span", { class: "feature-grid__count" });
  const add = h("select", { class: "workbench__select", "aria-label": "Choose a feature by hand", ...OWN_KEYS, onchange: () => {
    const name = add.value;
    add.value = "";
    if (name) choose({ chosen: toggled(state, name), order: "chosen" });
  } });
  const legend = h("span", { class: "feature-grid__legend" });
  const chips = h("div", { class: "feature-grid__chips", role: "group", "aria-label": "Features chosen by hand" });
  const field = (words, ...content) => h("label", { class: "workbench__field" }, h("span", {}, words), h("span", { class: "workbench__range" }, ...content));
  const atMost = field("At most", slider, count);
  const element = h(
    "div",
    { class: "workbench__tools" },
    field("Features", order),
    atMost,
    field("By hand", add),
    h("span", { class: "workbench__field" }, h("span", {}, "Activation"), legend),
    chips
  );
  function update(now, theme) {
    state = now;
    order.value = now.order;
    slider.max = String(Math.min(MOST_SHOWN, now.features.length));
    slider.value = String(now.nShown);
    atMost.hidden = now.order === "chosen";
    const words = `${formatRank(now.rows.length)} of ${formatRank(now.features.length)}`;
    count.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    const key = [now.features, now.chosen, now.order, now.most, theme.background];
    if (key.every((item, i) => item === drawnFrom[i])) return;
    drawnFrom = key;
    const full = now.chosen.length >= MOST_SHOWN;
    add.disabled = full;
    add.replaceChildren(
      h("option", { value: "" }, full ? `no more than ${MOST_SHOWN}` : "choose a feature…"),
      ...now.features.filter((feature) => !now.chosen.includes(feature.name)).map((feature) => h("option", { value: feature.name }, rowText(feature).slice(0, 60)))
    );
    add.value = "";
    const shown = now.order === "chosen" ? now.chosen : [];
    chips.hidden = shown.length === 0;
    chips.replaceChildren(...shown.map((name) => {
      const feature = now.features.find((each) => each.name === name) ?? { name, label: "" };
      const drop = h("button", { type: "button", "aria-label": `Drop ${name}`, title: `Drop ${name}`, ...OWN_KEYS, onclick: () => choose({ chosen: toggled(state, name) }) }, "×");
      return h("span", { class: "feature-grid__chip" }, h("span", {}, rowText(feature)), drop);
    }));
    const steps = [0, 0.25, 0.5, 0.75, 1].map((share) => h("span", { class: "feature-grid__step", style: { background: shade(share * now.most, now.most, theme.background) || theme.header } }));
    legend.replaceChildren("0", ...steps, short(now.most));
  }
  return { element, update };
}

// src/lib/stand_in.js
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.__bytes__ === "string") {
    const text = atob(value.__bytes__);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return new DataView(bytes.buffer);
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revive(item)]));
}
var StandInModel = class {
  /** @param {Record<string, any>} state */
  constructor(state) {
    this.state = revive(state);
    this.listeners = /* @__PURE__ */ new Map();
    this.sent = /** @type {any[]} */
    [];
  }
  /** @param {string} name */
  get(name) {
    return this.state[name];
  }
  /**
   * Every listener sees the whole new state, as with a kernel's model.
   * @param {string | Record<string, any>} names
   * @param {any} [value]
   */
  set(names, value) {
    const changes = typeof names === "string" ? { [names]: value } : names;
    const changed = Object.keys(changes).filter((name) => this.state[name] !== changes[name]);
    Object.assign(this.state, changes);
    for (const name of changed) this.emit(`change:${name}`, this.state[name]);
    if (changed.length > 0) this.emit("change");
  }
  /**
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   */
  on(event, listener) {
    const known2 = this.listeners.get(event) ?? /* @__PURE__ */ new Set();
    this.listeners.set(event, known2.add(listener));
  }
  /**
   * @param {string} event
   * @param {(...args: any[]) => void} [listener] without one, every listener of the event goes
   */
  off(event, listener) {
    if (listener) this.listeners.get(event)?.delete(listener);
    else this.listeners.delete(event);
  }
  /**
   * @param {string} event
   * @param {...any} args
   */
  emit(event, ...args) {
    for (const listener of [...this.listeners.get(event) ?? []]) listener(...args);
  }
  /** There is nowhere to save to: the page holds the only state. */
  save_changes() {
  }
  /** @param {any} content */
  send(content) {
    this.sent.push(content);
  }
};

// src/feature_grid.js
var CELL_HEIGHT = 24;
var CELL_WIDTH = { least: 44, most: 84 };
var HEADER = 40;
var ROW_LABELS = { least: 90, most: 220 };
var MOST_HEIGHT = 640;
var HINT = "Point at a cell. Arrow keys move, Enter selects, c chooses the feature by hand, Escape selects nothing.";
function render({ model, el }) {
  const shell = view("feature-grid", { model, el, role: "feature grid", traits: TRAITS, draw });
  const { scroller, root, choose } = shell;
  const cells = grid(scroller, "feature-grid");
  const painter = new Painter(cells.context);
  const bar = toolbar(choose);
  const empty = h("p", { class: "feature-grid__empty" });
  scroller.after(empty);
  let state = readState(model);
  let readFrom = [];
  const pointable = {
    draw,
    under,
    present: cells.has,
    placeOf: cells.placeOf,
    reveal: cells.reveal,
    key,
    content(cell) {
      const feature = featureOf(cell.row);
      return [h("b", {}, short(valueAt(state, feature, cell.pos))), h("div", {}, fullName(state.features[feature]))];
    },
    start: () => cells.layout.rows > 0 ? { row: cells.layout.rows - 1, pos: 0 } : null,
    click(_, event) {
      const found = cells.under(event);
      if (!found) return;
      const { row, pos } = found;
      choose({ ...row === null ? {} : { feature: state.features[featureOf(row)].name }, ...pos === null ? {} : { position: pos } });
    }
  };
  const pointed = pointing(shell, pointable);
  const featureOf = (row) => state.rows[state.rows.length - 1 - row];
  function under(event) {
    scroller.style.cursor = cells.under(event) ? "pointer" : "default";
    return cells.cellUnder(event);
  }
  function read() {
    const from = TRAITS.map((name) => model.get(name));
    if (from.every((item, i) => item === readFrom[i])) return false;
    readFrom = from;
    state = readState(model);
    return true;
  }
  function draw() {
    const anew = read();
    if (root.clientWidth === 0) return;
    const look = themeOf(root);
    bar.update(state, look);
    scroller.hidden = state.rows.length === 0;
    empty.hidden = state.rows.length > 0;
    empty.textContent = state.order === "chosen" ? "No feature is chosen: choose some by hand above, or press c on a row." : "No feature is active at this position.";
    cells.measure([state, root.clientWidth, look.font], MOST_HEIGHT, (room) => {
      const left = Math.floor(Math.min(ROW_LABELS.most, root.clientWidth * 0.4, Math.max(ROW_LABELS.least, painter.labelWidth(state, look) + 18)));
      const cellWidth = fitCellWidth(room - left, state.tokens.length, CELL_WIDTH.least, CELL_WIDTH.most);
      return { rows: state.rows.length, columns: state.tokens.length, cellWidth, cellHeight: CELL_HEIGHT, left, top: HEADER, bottom: 0 };
    });
    if (anew) pointed.retell();
    const { hover, reached } = pointed.settle();
    painter.paint(state, cells.layout, cells.clear(look.background), look, { hover, focus: reached, selected: selection() });
    shell.head(state, `${state.title || "Feature grid"}: ${cells.layout.rows} features, ${ORDERS[state.order]}, and ${cells.layout.columns} tokens. ${HINT}`);
    const cell = hover ?? reached;
    const selected = state.features.findIndex((feature) => feature.name === state.feature);
    shell.say(cell ? placeText(state, featureOf(cell.row), cell.pos) : placeText(state, selected < 0 ? null : selected, state.position < 0 ? null : state.position) || HINT);
  }
  function selection() {
    const at = state.rows.findIndex((feature) => state.features[feature].name === state.feature);
    return { row: at < 0 ? null : state.rows.length - 1 - at, pos: state.position < 0 ? null : state.position };
  }
  function key({ key: pressed }, focus) {
    const next = moveCell(pressed, focus, cells.layout, cells.page());
    if (next) return next;
    const { name } = state.features[featureOf(focus.row)];
    if (pressed === "Enter" || pressed === " ") choose({ feature: name, position: focus.pos });
    else if (pressed === "c") choose({ chosen: toggled(state, name) });
    else if (pressed === "Escape") choose({ feature: "", position: -1 });
    else return false;
    return true;
  }
  return shell.open([shell.title, bar.element, shell.stage, shell.readout, shell.tip.element]);
}
var feature_grid_default = { render };
export {
  StandInModel,
  feature_grid_default as default
};
