/* Built by `npm run build` in widgets/; edit the sources there, never this file.
 * sources: build.mjs package-lock.json src/lib/arrays.js src/lib/color_scale.js src/lib/colors.js src/lib/dom.js src/lib/grid.js src/lib/grid_geometry.js src/lib/lifecycle.js src/lib/numbers.js src/lib/pointing.js src/lib/rank_lines.js src/lib/stand_in.js src/lib/theme.js src/lib/tokens.js src/lib/tooltip.js src/lib/view.js src/token_grid.js src/token_grid/details.js src/token_grid/painter.js src/token_grid/state.js src/token_grid/text.js src/token_grid/toolbar.js src/token_grid/tooltip.js
 * sources-sha256: 83467957bfce4ebc6039f2c50844e6b3adeeb57c83a5d6d516bb36f473e9e762
 * body-sha256: f7cd74801689d988c19057755a9ae3a0b8e2c661bfea5fa398dd4c5273e464c8
 */
// src/lib/dom.js
var OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}
function fill(element, attributes, children) {
  for (const [name, value2] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value2);
    else if (name === "style") Object.assign(element.style, value2);
    else if (value2 === true) element.setAttribute(name, "");
    else if (value2 !== false && value2 !== null && value2 !== void 0) element.setAttribute(name, String(value2));
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
function hit(layout, view2, x2, y2) {
  const end = Math.min(view2.height, layout.top + layout.rows * layout.cellHeight + layout.bottom - view2.y);
  if (x2 < 0 || y2 < 0 || x2 >= view2.width || y2 >= end) return null;
  const pos = Math.floor((x2 - layout.left + view2.x) / layout.cellWidth);
  const line = Math.floor((y2 - layout.top + view2.y) / layout.cellHeight);
  const inColumns = x2 >= layout.left && pos >= 0 && pos < layout.columns;
  const inRows = y2 >= layout.top && y2 < end - layout.bottom && line >= 0 && line < layout.rows;
  if (inColumns && inRows) return { row: layout.rows - 1 - line, pos };
  if (inColumns && (y2 < layout.top || y2 >= end - layout.bottom)) return { row: null, pos };
  if (inRows && x2 < layout.left) return { row: layout.rows - 1 - line, pos: null };
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
    const { x: x2, y: y2 } = cellOrigin(layout, viewport(scroller), cell);
    const box = canvas.getBoundingClientRect();
    return new DOMRect(box.x + x2, box.y + y2, layout.cellWidth, layout.cellHeight);
  }
  function reveal(cell) {
    const { x: x2, y: y2 } = scrollTo(layout, viewport(scroller), cell);
    scroller.scrollTo({ left: x2, top: y2, behavior: "instant" });
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
function outline(context, { x: x2, y: y2, width, height }, strokes) {
  for (const [color2, thick] of strokes) {
    context.strokeStyle = color2;
    context.lineWidth = thick;
    context.strokeRect(x2, y2, width, height);
  }
}
function ring(context, layout, view2, cell, strokes) {
  const { x: x2, y: y2 } = cellOrigin(layout, view2, cell);
  for (const stroke of strokes) {
    const inset = stroke[1] / 2;
    outline(context, { x: x2 + inset, y: y2 + inset, width: layout.cellWidth - 1 - stroke[1], height: layout.cellHeight - 1 - stroke[1] }, [stroke]);
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
  function centre(token, { x: x2, middle, width, room, ink, font }) {
    const { parts, width: taken } = fit(token, room, font);
    write(parts, x2 + (width - taken) / 2, middle, ink);
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
var same = (a, b) => b !== null && Object.entries(a).every(([name, value2]) => (
  /** @type {any} */
  b[name] === value2
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
function color(format2) {
  var m, l;
  format2 = (format2 + "").trim().toLowerCase();
  return (m = reHex.exec(format2)) ? (l = m[1].length, m = parseInt(m[1], 16), l === 6 ? rgbn(m) : l === 3 ? new Rgb(m >> 8 & 15 | m >> 4 & 240, m >> 4 & 15 | m & 240, (m & 15) << 4 | m & 15, 1) : l === 8 ? rgba(m >> 24 & 255, m >> 16 & 255, m >> 8 & 255, (m & 255) / 255) : l === 4 ? rgba(m >> 12 & 15 | m >> 8 & 240, m >> 8 & 15 | m >> 4 & 240, m >> 4 & 15 | m & 240, ((m & 15) << 4 | m & 15) / 255) : null) : (m = reRgbInteger.exec(format2)) ? new Rgb(m[1], m[2], m[3], 1) : (m = reRgbPercent.exec(format2)) ? new Rgb(m[1] * 255 / 100, m[2] * 255 / 100, m[3] * 255 / 100, 1) : (m = reRgbaInteger.exec(format2)) ? rgba(m[1], m[2], m[3], m[4]) : (m = reRgbaPercent.exec(format2)) ? rgba(m[1] * 255 / 100, m[2] * 255 / 100, m[3] * 255 / 100, m[4]) : (m = reHslPercent.exec(format2)) ? hsla(m[1], m[2] / 100, m[3] / 100, 1) : (m = reHslaPercent.exec(format2)) ? hsla(m[1], m[2] / 100, m[3] / 100, m[4]) : named.hasOwnProperty(format2) ? rgbn(named[format2]) : format2 === "transparent" ? new Rgb(NaN, NaN, NaN, 0) : null;
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
function clampi(value2) {
  return Math.max(0, Math.min(255, Math.round(value2) || 0));
}
function hex(value2) {
  value2 = clampi(value2);
  return (value2 < 16 ? "0" : "") + value2.toString(16);
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
function clamph(value2) {
  value2 = (value2 || 0) % 360;
  return value2 < 0 ? value2 + 360 : value2;
}
function clampt(value2) {
  return Math.max(0, Math.min(1, value2 || 0));
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
  var r = rgb2lrgb(o.r), g = rgb2lrgb(o.g), b = rgb2lrgb(o.b), y2 = xyz2lab((0.2225045 * r + 0.7168786 * g + 0.0606169 * b) / Yn), x2, z;
  if (r === g && g === b) x2 = z = y2;
  else {
    x2 = xyz2lab((0.4360747 * r + 0.3850649 * g + 0.1430804 * b) / Xn);
    z = xyz2lab((0.0139322 * r + 0.0971045 * g + 0.7141733 * b) / Zn);
  }
  return new Lab(116 * y2 - 16, 500 * (x2 - y2), 200 * (y2 - z), o.opacity);
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
    var y2 = (this.l + 16) / 116, x2 = isNaN(this.a) ? y2 : y2 + this.a / 500, z = isNaN(this.b) ? y2 : y2 - this.b / 200;
    x2 = Xn * lab2xyz(x2);
    y2 = Yn * lab2xyz(y2);
    z = Zn * lab2xyz(z);
    return new Rgb(
      lrgb2rgb(3.1338561 * x2 - 1.6168667 * y2 - 0.4906146 * z),
      lrgb2rgb(-0.9787684 * x2 + 1.9161415 * y2 + 0.033454 * z),
      lrgb2rgb(0.0719453 * x2 - 0.2289914 * y2 + 1.4052427 * z),
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
function lrgb2rgb(x2) {
  return 255 * (x2 <= 31308e-7 ? 12.92 * x2 : 1.055 * Math.pow(x2, 1 / 2.4) - 0.055);
}
function rgb2lrgb(x2) {
  return (x2 /= 255) <= 0.04045 ? x2 / 12.92 : Math.pow((x2 + 0.055) / 1.055, 2.4);
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
var constant = (x2) => () => x2;
function linear(a, d) {
  return function(t) {
    return a + t * d;
  };
}
function exponential(a, b, y2) {
  return a = Math.pow(a, y2), b = Math.pow(b, y2) - a, y2 = 1 / y2, function(t) {
    return Math.pow(a + t * b, y2);
  };
}
function hue$1(a, b) {
  var d = b - a;
  return d ? linear(a, d > 180 || d < -180 ? d - 360 * Math.round(d / 360) : d) : constant(isNaN(a) ? b : a);
}
function gamma(y2) {
  return (y2 = +y2) === 1 ? nogamma : function(a, b) {
    return b - a ? exponential(a, b, y2) : constant(isNaN(a) ? b : a);
  };
}
function nogamma(a, b) {
  var d = b - a;
  return d ? linear(a, d) : constant(isNaN(a) ? b : a);
}
var rgb2 = function rgbGamma(y2) {
  var color2 = gamma(y2);
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
function numberArray(a, b) {
  if (!b) b = [];
  var n = a ? Math.min(b.length, a.length) : 0, c = b.slice(), i;
  return function(t) {
    for (i = 0; i < n; ++i) c[i] = a[i] * (1 - t) + b[i] * t;
    return c;
  };
}
function isNumberArray(x2) {
  return ArrayBuffer.isView(x2) && !(x2 instanceof DataView);
}
function genericArray(a, b) {
  var nb = b ? b.length : 0, na = a ? Math.min(nb, a.length) : 0, x2 = new Array(na), c = new Array(nb), i;
  for (i = 0; i < na; ++i) x2[i] = value(a[i], b[i]);
  for (; i < nb; ++i) c[i] = b[i];
  return function(t) {
    for (i = 0; i < na; ++i) c[i] = x2[i](t);
    return c;
  };
}
function date(a, b) {
  var d = /* @__PURE__ */ new Date();
  return a = +a, b = +b, function(t) {
    return d.setTime(a * (1 - t) + b * t), d;
  };
}
function number(a, b) {
  return a = +a, b = +b, function(t) {
    return a * (1 - t) + b * t;
  };
}
function object(a, b) {
  var i = {}, c = {}, k;
  if (a === null || typeof a !== "object") a = {};
  if (b === null || typeof b !== "object") b = {};
  for (k in b) {
    if (k in a) {
      i[k] = value(a[k], b[k]);
    } else {
      c[k] = b[k];
    }
  }
  return function(t) {
    for (k in i) c[k] = i[k](t);
    return c;
  };
}
var reA = /[-+]?(?:\d+\.?\d*|\.?\d+)(?:[eE][-+]?\d+)?/g;
var reB = new RegExp(reA.source, "g");
function zero(b) {
  return function() {
    return b;
  };
}
function one(b) {
  return function(t) {
    return b(t) + "";
  };
}
function string(a, b) {
  var bi = reA.lastIndex = reB.lastIndex = 0, am, bm, bs, i = -1, s = [], q = [];
  a = a + "", b = b + "";
  while ((am = reA.exec(a)) && (bm = reB.exec(b))) {
    if ((bs = bm.index) > bi) {
      bs = b.slice(bi, bs);
      if (s[i]) s[i] += bs;
      else s[++i] = bs;
    }
    if ((am = am[0]) === (bm = bm[0])) {
      if (s[i]) s[i] += bm;
      else s[++i] = bm;
    } else {
      s[++i] = null;
      q.push({ i, x: number(am, bm) });
    }
    bi = reB.lastIndex;
  }
  if (bi < b.length) {
    bs = b.slice(bi);
    if (s[i]) s[i] += bs;
    else s[++i] = bs;
  }
  return s.length < 2 ? q[0] ? one(q[0].x) : zero(b) : (b = q.length, function(t) {
    for (var i2 = 0, o; i2 < b; ++i2) s[(o = q[i2]).i] = o.x(t);
    return s.join("");
  });
}
function value(a, b) {
  var t = typeof b, c;
  return b == null || t === "boolean" ? constant(b) : (t === "number" ? number : t === "string" ? (c = color(b)) ? (b = c, rgb2) : string : b instanceof color ? rgb2 : b instanceof Date ? date : isNumberArray(b) ? numberArray : Array.isArray(b) ? genericArray : typeof b.valueOf !== "function" && typeof b.toString !== "function" || isNaN(b) ? object : number)(a, b);
}
function round(a, b) {
  return a = +a, b = +b, function(t) {
    return Math.round(a * (1 - t) + b * t);
  };
}
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
function parseCss(value2) {
  const m = new (typeof DOMMatrix === "function" ? DOMMatrix : WebKitCSSMatrix)(value2 + "");
  return m.isIdentity ? identity : decompose(m.a, m.b, m.c, m.d, m.e, m.f);
}
function parseSvg(value2) {
  if (value2 == null) return identity;
  if (!svgNode) svgNode = document.createElementNS("http://www.w3.org/2000/svg", "g");
  svgNode.setAttribute("transform", value2);
  if (!(value2 = svgNode.transform.baseVal.consolidate())) return identity;
  value2 = value2.matrix;
  return decompose(value2.a, value2.b, value2.c, value2.d, value2.e, value2.f);
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
function cosh(x2) {
  return ((x2 = Math.exp(x2)) + 1 / x2) / 2;
}
function sinh(x2) {
  return ((x2 = Math.exp(x2)) - 1 / x2) / 2;
}
function tanh(x2) {
  return ((x2 = Math.exp(2 * x2)) - 1) / (x2 + 1);
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
  return function cubehelixGamma(y2) {
    y2 = +y2;
    function cubehelix3(start, end) {
      var h2 = hue((start = cubehelix(start)).h, (end = cubehelix(end)).h), s = nogamma(start.s, end.s), l = nogamma(start.l, end.l), opacity = nogamma(start.opacity, end.opacity);
      return function(t) {
        start.h = h2(t);
        start.s = s(t);
        start.l = l(Math.pow(t, y2));
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
var PIN_COLORS = [
  "#d8602a",
  "#2f7fd0",
  "#2a9455",
  "#c8529c",
  "#8e6ae0",
  "#8a8420",
  "#128f9b",
  "#dc4437"
];
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
  const [low, high] = [luminance(a), luminance(b)].sort((x2, y2) => x2 - y2);
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
    for (const [trait, value2] of Object.entries(changes)) model.set(trait, value2);
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

// src/lib/numbers.js
function formatNumber(value2, digits) {
  if (Number.isNaN(value2)) return "not a number";
  if (!Number.isFinite(value2)) return value2 > 0 ? "∞" : "−∞";
  const size = Math.abs(value2);
  let text;
  if (size >= 1e7 || size > 0 && size < 0.5 * 10 ** -digits) {
    text = value2.toExponential(1);
  } else {
    text = value2.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }
  return text.replace(/-/g, "−");
}
function formatProbability(logProbability) {
  return formatNumber(Math.exp(logProbability), 3);
}
function formatRank(rank) {
  return rank.toLocaleString("en-US");
}

// node_modules/d3-array/src/ascending.js
function ascending(a, b) {
  return a == null || b == null ? NaN : a < b ? -1 : a > b ? 1 : a >= b ? 0 : NaN;
}

// node_modules/d3-array/src/descending.js
function descending(a, b) {
  return a == null || b == null ? NaN : b < a ? -1 : b > a ? 1 : b >= a ? 0 : NaN;
}

// node_modules/d3-array/src/bisector.js
function bisector(f) {
  let compare1, compare2, delta;
  if (f.length !== 2) {
    compare1 = ascending;
    compare2 = (d, x2) => ascending(f(d), x2);
    delta = (d, x2) => f(d) - x2;
  } else {
    compare1 = f === ascending || f === descending ? f : zero2;
    compare2 = f;
    delta = f;
  }
  function left(a, x2, lo = 0, hi = a.length) {
    if (lo < hi) {
      if (compare1(x2, x2) !== 0) return hi;
      do {
        const mid = lo + hi >>> 1;
        if (compare2(a[mid], x2) < 0) lo = mid + 1;
        else hi = mid;
      } while (lo < hi);
    }
    return lo;
  }
  function right(a, x2, lo = 0, hi = a.length) {
    if (lo < hi) {
      if (compare1(x2, x2) !== 0) return hi;
      do {
        const mid = lo + hi >>> 1;
        if (compare2(a[mid], x2) <= 0) lo = mid + 1;
        else hi = mid;
      } while (lo < hi);
    }
    return lo;
  }
  function center(a, x2, lo = 0, hi = a.length) {
    const i = left(a, x2, lo, hi - 1);
    return i > lo && delta(a[i - 1], x2) > -delta(a[i], x2) ? i - 1 : i;
  }
  return { left, center, right };
}
function zero2() {
  return 0;
}

// node_modules/d3-array/src/number.js
function number2(x2) {
  return x2 === null ? NaN : +x2;
}

// node_modules/d3-array/src/bisect.js
var ascendingBisect = bisector(ascending);
var bisectRight = ascendingBisect.right;
var bisectLeft = ascendingBisect.left;
var bisectCenter = bisector(number2).center;
var bisect_default = bisectRight;

// node_modules/d3-array/src/ticks.js
var e10 = Math.sqrt(50);
var e5 = Math.sqrt(10);
var e2 = Math.sqrt(2);
function tickSpec(start, stop, count) {
  const step = (stop - start) / Math.max(0, count), power = Math.floor(Math.log10(step)), error = step / Math.pow(10, power), factor = error >= e10 ? 10 : error >= e5 ? 5 : error >= e2 ? 2 : 1;
  let i1, i2, inc;
  if (power < 0) {
    inc = Math.pow(10, -power) / factor;
    i1 = Math.round(start * inc);
    i2 = Math.round(stop * inc);
    if (i1 / inc < start) ++i1;
    if (i2 / inc > stop) --i2;
    inc = -inc;
  } else {
    inc = Math.pow(10, power) * factor;
    i1 = Math.round(start / inc);
    i2 = Math.round(stop / inc);
    if (i1 * inc < start) ++i1;
    if (i2 * inc > stop) --i2;
  }
  if (i2 < i1 && 0.5 <= count && count < 2) return tickSpec(start, stop, count * 2);
  return [i1, i2, inc];
}
function ticks(start, stop, count) {
  stop = +stop, start = +start, count = +count;
  if (!(count > 0)) return [];
  if (start === stop) return [start];
  const reverse = stop < start, [i1, i2, inc] = reverse ? tickSpec(stop, start, count) : tickSpec(start, stop, count);
  if (!(i2 >= i1)) return [];
  const n = i2 - i1 + 1, ticks2 = new Array(n);
  if (reverse) {
    if (inc < 0) for (let i = 0; i < n; ++i) ticks2[i] = (i2 - i) / -inc;
    else for (let i = 0; i < n; ++i) ticks2[i] = (i2 - i) * inc;
  } else {
    if (inc < 0) for (let i = 0; i < n; ++i) ticks2[i] = (i1 + i) / -inc;
    else for (let i = 0; i < n; ++i) ticks2[i] = (i1 + i) * inc;
  }
  return ticks2;
}
function tickIncrement(start, stop, count) {
  stop = +stop, start = +start, count = +count;
  return tickSpec(start, stop, count)[2];
}
function tickStep(start, stop, count) {
  stop = +stop, start = +start, count = +count;
  const reverse = stop < start, inc = reverse ? tickIncrement(stop, start, count) : tickIncrement(start, stop, count);
  return (reverse ? -1 : 1) * (inc < 0 ? 1 / -inc : inc);
}

// node_modules/d3-scale/src/init.js
function initRange(domain, range) {
  switch (arguments.length) {
    case 0:
      break;
    case 1:
      this.range(domain);
      break;
    default:
      this.range(range).domain(domain);
      break;
  }
  return this;
}

// node_modules/d3-scale/src/constant.js
function constants(x2) {
  return function() {
    return x2;
  };
}

// node_modules/d3-scale/src/number.js
function number3(x2) {
  return +x2;
}

// node_modules/d3-scale/src/continuous.js
var unit = [0, 1];
function identity2(x2) {
  return x2;
}
function normalize(a, b) {
  return (b -= a = +a) ? function(x2) {
    return (x2 - a) / b;
  } : constants(isNaN(b) ? NaN : 0.5);
}
function clamper(a, b) {
  var t;
  if (a > b) t = a, a = b, b = t;
  return function(x2) {
    return Math.max(a, Math.min(b, x2));
  };
}
function bimap(domain, range, interpolate) {
  var d0 = domain[0], d1 = domain[1], r0 = range[0], r1 = range[1];
  if (d1 < d0) d0 = normalize(d1, d0), r0 = interpolate(r1, r0);
  else d0 = normalize(d0, d1), r0 = interpolate(r0, r1);
  return function(x2) {
    return r0(d0(x2));
  };
}
function polymap(domain, range, interpolate) {
  var j = Math.min(domain.length, range.length) - 1, d = new Array(j), r = new Array(j), i = -1;
  if (domain[j] < domain[0]) {
    domain = domain.slice().reverse();
    range = range.slice().reverse();
  }
  while (++i < j) {
    d[i] = normalize(domain[i], domain[i + 1]);
    r[i] = interpolate(range[i], range[i + 1]);
  }
  return function(x2) {
    var i2 = bisect_default(domain, x2, 1, j) - 1;
    return r[i2](d[i2](x2));
  };
}
function copy(source, target) {
  return target.domain(source.domain()).range(source.range()).interpolate(source.interpolate()).clamp(source.clamp()).unknown(source.unknown());
}
function transformer() {
  var domain = unit, range = unit, interpolate = value, transform, untransform, unknown, clamp = identity2, piecewise, output, input;
  function rescale() {
    var n = Math.min(domain.length, range.length);
    if (clamp !== identity2) clamp = clamper(domain[0], domain[n - 1]);
    piecewise = n > 2 ? polymap : bimap;
    output = input = null;
    return scale;
  }
  function scale(x2) {
    return x2 == null || isNaN(x2 = +x2) ? unknown : (output || (output = piecewise(domain.map(transform), range, interpolate)))(transform(clamp(x2)));
  }
  scale.invert = function(y2) {
    return clamp(untransform((input || (input = piecewise(range, domain.map(transform), number)))(y2)));
  };
  scale.domain = function(_) {
    return arguments.length ? (domain = Array.from(_, number3), rescale()) : domain.slice();
  };
  scale.range = function(_) {
    return arguments.length ? (range = Array.from(_), rescale()) : range.slice();
  };
  scale.rangeRound = function(_) {
    return range = Array.from(_), interpolate = round, rescale();
  };
  scale.clamp = function(_) {
    return arguments.length ? (clamp = _ ? true : identity2, rescale()) : clamp !== identity2;
  };
  scale.interpolate = function(_) {
    return arguments.length ? (interpolate = _, rescale()) : interpolate;
  };
  scale.unknown = function(_) {
    return arguments.length ? (unknown = _, scale) : unknown;
  };
  return function(t, u) {
    transform = t, untransform = u;
    return rescale();
  };
}
function continuous() {
  return transformer()(identity2, identity2);
}

// node_modules/d3-format/dist/d3-format.mjs
function formatDecimal(x2) {
  return Math.abs(x2 = Math.round(x2)) >= 1e21 ? x2.toLocaleString("en").replace(/,/g, "") : x2.toString(10);
}
function formatDecimalParts(x2, p) {
  if (!isFinite(x2) || x2 === 0) return null;
  var i = (x2 = p ? x2.toExponential(p - 1) : x2.toExponential()).indexOf("e"), coefficient = x2.slice(0, i);
  return [
    coefficient.length > 1 ? coefficient[0] + coefficient.slice(2) : coefficient,
    +x2.slice(i + 1)
  ];
}
function exponent(x2) {
  return x2 = formatDecimalParts(Math.abs(x2)), x2 ? x2[1] : NaN;
}
function formatGroup(grouping, thousands) {
  return function(value2, width) {
    var i = value2.length, t = [], j = 0, g = grouping[0], length = 0;
    while (i > 0 && g > 0) {
      if (length + g + 1 > width) g = Math.max(1, width - length);
      t.push(value2.substring(i -= g, i + g));
      if ((length += g + 1) > width) break;
      g = grouping[j = (j + 1) % grouping.length];
    }
    return t.reverse().join(thousands);
  };
}
function formatNumerals(numerals) {
  return function(value2) {
    return value2.replace(/[0-9]/g, function(i) {
      return numerals[+i];
    });
  };
}
var re = /^(?:(.)?([<>=^]))?([+\-( ])?([$#])?(0)?(\d+)?(,)?(\.\d+)?(~)?([a-z%])?$/i;
function formatSpecifier(specifier) {
  if (!(match = re.exec(specifier))) throw new Error("invalid format: " + specifier);
  var match;
  return new FormatSpecifier({
    fill: match[1],
    align: match[2],
    sign: match[3],
    symbol: match[4],
    zero: match[5],
    width: match[6],
    comma: match[7],
    precision: match[8] && match[8].slice(1),
    trim: match[9],
    type: match[10]
  });
}
formatSpecifier.prototype = FormatSpecifier.prototype;
function FormatSpecifier(specifier) {
  this.fill = specifier.fill === void 0 ? " " : specifier.fill + "";
  this.align = specifier.align === void 0 ? ">" : specifier.align + "";
  this.sign = specifier.sign === void 0 ? "-" : specifier.sign + "";
  this.symbol = specifier.symbol === void 0 ? "" : specifier.symbol + "";
  this.zero = !!specifier.zero;
  this.width = specifier.width === void 0 ? void 0 : +specifier.width;
  this.comma = !!specifier.comma;
  this.precision = specifier.precision === void 0 ? void 0 : +specifier.precision;
  this.trim = !!specifier.trim;
  this.type = specifier.type === void 0 ? "" : specifier.type + "";
}
FormatSpecifier.prototype.toString = function() {
  return this.fill + this.align + this.sign + this.symbol + (this.zero ? "0" : "") + (this.width === void 0 ? "" : Math.max(1, this.width | 0)) + (this.comma ? "," : "") + (this.precision === void 0 ? "" : "." + Math.max(0, this.precision | 0)) + (this.trim ? "~" : "") + this.type;
};
function formatTrim(s) {
  out: for (var n = s.length, i = 1, i0 = -1, i1; i < n; ++i) {
    switch (s[i]) {
      case ".":
        i0 = i1 = i;
        break;
      case "0":
        if (i0 === 0) i0 = i;
        i1 = i;
        break;
      default:
        if (!+s[i]) break out;
        if (i0 > 0) i0 = 0;
        break;
    }
  }
  return i0 > 0 ? s.slice(0, i0) + s.slice(i1 + 1) : s;
}
var prefixExponent;
function formatPrefixAuto(x2, p) {
  var d = formatDecimalParts(x2, p);
  if (!d) return prefixExponent = void 0, x2.toPrecision(p);
  var coefficient = d[0], exponent2 = d[1], i = exponent2 - (prefixExponent = Math.max(-8, Math.min(8, Math.floor(exponent2 / 3))) * 3) + 1, n = coefficient.length;
  return i === n ? coefficient : i > n ? coefficient + new Array(i - n + 1).join("0") : i > 0 ? coefficient.slice(0, i) + "." + coefficient.slice(i) : "0." + new Array(1 - i).join("0") + formatDecimalParts(x2, Math.max(0, p + i - 1))[0];
}
function formatRounded(x2, p) {
  var d = formatDecimalParts(x2, p);
  if (!d) return x2 + "";
  var coefficient = d[0], exponent2 = d[1];
  return exponent2 < 0 ? "0." + new Array(-exponent2).join("0") + coefficient : coefficient.length > exponent2 + 1 ? coefficient.slice(0, exponent2 + 1) + "." + coefficient.slice(exponent2 + 1) : coefficient + new Array(exponent2 - coefficient.length + 2).join("0");
}
var formatTypes = {
  "%": (x2, p) => (x2 * 100).toFixed(p),
  "b": (x2) => Math.round(x2).toString(2),
  "c": (x2) => x2 + "",
  "d": formatDecimal,
  "e": (x2, p) => x2.toExponential(p),
  "f": (x2, p) => x2.toFixed(p),
  "g": (x2, p) => x2.toPrecision(p),
  "o": (x2) => Math.round(x2).toString(8),
  "p": (x2, p) => formatRounded(x2 * 100, p),
  "r": formatRounded,
  "s": formatPrefixAuto,
  "X": (x2) => Math.round(x2).toString(16).toUpperCase(),
  "x": (x2) => Math.round(x2).toString(16)
};
function identity3(x2) {
  return x2;
}
var map = Array.prototype.map;
var prefixes = ["y", "z", "a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y"];
function formatLocale(locale2) {
  var group = locale2.grouping === void 0 || locale2.thousands === void 0 ? identity3 : formatGroup(map.call(locale2.grouping, Number), locale2.thousands + ""), currencyPrefix = locale2.currency === void 0 ? "" : locale2.currency[0] + "", currencySuffix = locale2.currency === void 0 ? "" : locale2.currency[1] + "", decimal = locale2.decimal === void 0 ? "." : locale2.decimal + "", numerals = locale2.numerals === void 0 ? identity3 : formatNumerals(map.call(locale2.numerals, String)), percent = locale2.percent === void 0 ? "%" : locale2.percent + "", minus = locale2.minus === void 0 ? "−" : locale2.minus + "", nan = locale2.nan === void 0 ? "NaN" : locale2.nan + "";
  function newFormat(specifier, options) {
    specifier = formatSpecifier(specifier);
    var fill2 = specifier.fill, align = specifier.align, sign2 = specifier.sign, symbol = specifier.symbol, zero3 = specifier.zero, width = specifier.width, comma = specifier.comma, precision = specifier.precision, trim = specifier.trim, type = specifier.type;
    if (type === "n") comma = true, type = "g";
    else if (!formatTypes[type]) precision === void 0 && (precision = 12), trim = true, type = "g";
    if (zero3 || fill2 === "0" && align === "=") zero3 = true, fill2 = "0", align = "=";
    var prefix = (options && options.prefix !== void 0 ? options.prefix : "") + (symbol === "$" ? currencyPrefix : symbol === "#" && /[boxX]/.test(type) ? "0" + type.toLowerCase() : ""), suffix = (symbol === "$" ? currencySuffix : /[%p]/.test(type) ? percent : "") + (options && options.suffix !== void 0 ? options.suffix : "");
    var formatType = formatTypes[type], maybeSuffix = /[defgprs%]/.test(type);
    precision = precision === void 0 ? 6 : /[gprs]/.test(type) ? Math.max(1, Math.min(21, precision)) : Math.max(0, Math.min(20, precision));
    function format2(value2) {
      var valuePrefix = prefix, valueSuffix = suffix, i, n, c;
      if (type === "c") {
        valueSuffix = formatType(value2) + valueSuffix;
        value2 = "";
      } else {
        value2 = +value2;
        var valueNegative = value2 < 0 || 1 / value2 < 0;
        value2 = isNaN(value2) ? nan : formatType(Math.abs(value2), precision);
        if (trim) value2 = formatTrim(value2);
        if (valueNegative && +value2 === 0 && sign2 !== "+") valueNegative = false;
        valuePrefix = (valueNegative ? sign2 === "(" ? sign2 : minus : sign2 === "-" || sign2 === "(" ? "" : sign2) + valuePrefix;
        valueSuffix = (type === "s" && !isNaN(value2) && prefixExponent !== void 0 ? prefixes[8 + prefixExponent / 3] : "") + valueSuffix + (valueNegative && sign2 === "(" ? ")" : "");
        if (maybeSuffix) {
          i = -1, n = value2.length;
          while (++i < n) {
            if (c = value2.charCodeAt(i), 48 > c || c > 57) {
              valueSuffix = (c === 46 ? decimal + value2.slice(i + 1) : value2.slice(i)) + valueSuffix;
              value2 = value2.slice(0, i);
              break;
            }
          }
        }
      }
      if (comma && !zero3) value2 = group(value2, Infinity);
      var length = valuePrefix.length + value2.length + valueSuffix.length, padding = length < width ? new Array(width - length + 1).join(fill2) : "";
      if (comma && zero3) value2 = group(padding + value2, padding.length ? width - valueSuffix.length : Infinity), padding = "";
      switch (align) {
        case "<":
          value2 = valuePrefix + value2 + valueSuffix + padding;
          break;
        case "=":
          value2 = valuePrefix + padding + value2 + valueSuffix;
          break;
        case "^":
          value2 = padding.slice(0, length = padding.length >> 1) + valuePrefix + value2 + valueSuffix + padding.slice(length);
          break;
        default:
          value2 = padding + valuePrefix + value2 + valueSuffix;
          break;
      }
      return numerals(value2);
    }
    format2.toString = function() {
      return specifier + "";
    };
    return format2;
  }
  function formatPrefix2(specifier, value2) {
    var e = Math.max(-8, Math.min(8, Math.floor(exponent(value2) / 3))) * 3, k = Math.pow(10, -e), f = newFormat((specifier = formatSpecifier(specifier), specifier.type = "f", specifier), { suffix: prefixes[8 + e / 3] });
    return function(value3) {
      return f(k * value3);
    };
  }
  return {
    format: newFormat,
    formatPrefix: formatPrefix2
  };
}
var locale;
var format;
var formatPrefix;
defaultLocale({
  thousands: ",",
  grouping: [3],
  currency: ["$", ""]
});
function defaultLocale(definition) {
  locale = formatLocale(definition);
  format = locale.format;
  formatPrefix = locale.formatPrefix;
  return locale;
}
function precisionFixed(step) {
  return Math.max(0, -exponent(Math.abs(step)));
}
function precisionPrefix(step, value2) {
  return Math.max(0, Math.max(-8, Math.min(8, Math.floor(exponent(value2) / 3))) * 3 - exponent(Math.abs(step)));
}
function precisionRound(step, max) {
  step = Math.abs(step), max = Math.abs(max) - step;
  return Math.max(0, exponent(max) - exponent(step)) + 1;
}

// node_modules/d3-scale/src/tickFormat.js
function tickFormat(start, stop, count, specifier) {
  var step = tickStep(start, stop, count), precision;
  specifier = formatSpecifier(specifier == null ? ",f" : specifier);
  switch (specifier.type) {
    case "s": {
      var value2 = Math.max(Math.abs(start), Math.abs(stop));
      if (specifier.precision == null && !isNaN(precision = precisionPrefix(step, value2))) specifier.precision = precision;
      return formatPrefix(specifier, value2);
    }
    case "":
    case "e":
    case "g":
    case "p":
    case "r": {
      if (specifier.precision == null && !isNaN(precision = precisionRound(step, Math.max(Math.abs(start), Math.abs(stop))))) specifier.precision = precision - (specifier.type === "e");
      break;
    }
    case "f":
    case "%": {
      if (specifier.precision == null && !isNaN(precision = precisionFixed(step))) specifier.precision = precision - (specifier.type === "%") * 2;
      break;
    }
  }
  return format(specifier);
}

// node_modules/d3-scale/src/linear.js
function linearish(scale) {
  var domain = scale.domain;
  scale.ticks = function(count) {
    var d = domain();
    return ticks(d[0], d[d.length - 1], count == null ? 10 : count);
  };
  scale.tickFormat = function(count, specifier) {
    var d = domain();
    return tickFormat(d[0], d[d.length - 1], count == null ? 10 : count, specifier);
  };
  scale.nice = function(count) {
    if (count == null) count = 10;
    var d = domain();
    var i0 = 0;
    var i1 = d.length - 1;
    var start = d[i0];
    var stop = d[i1];
    var prestep;
    var step;
    var maxIter = 10;
    if (stop < start) {
      step = start, start = stop, stop = step;
      step = i0, i0 = i1, i1 = step;
    }
    while (maxIter-- > 0) {
      step = tickIncrement(start, stop, count);
      if (step === prestep) {
        d[i0] = start;
        d[i1] = stop;
        return domain(d);
      } else if (step > 0) {
        start = Math.floor(start / step) * step;
        stop = Math.ceil(stop / step) * step;
      } else if (step < 0) {
        start = Math.ceil(start * step) / step;
        stop = Math.floor(stop * step) / step;
      } else {
        break;
      }
      prestep = step;
    }
    return scale;
  };
  return scale;
}
function linear2() {
  var scale = continuous();
  scale.copy = function() {
    return copy(scale, linear2());
  };
  initRange.apply(scale, arguments);
  return linearish(scale);
}

// node_modules/d3-scale/src/nice.js
function nice(domain, interval) {
  domain = domain.slice();
  var i0 = 0, i1 = domain.length - 1, x0 = domain[i0], x1 = domain[i1], t;
  if (x1 < x0) {
    t = i0, i0 = i1, i1 = t;
    t = x0, x0 = x1, x1 = t;
  }
  domain[i0] = interval.floor(x0);
  domain[i1] = interval.ceil(x1);
  return domain;
}

// node_modules/d3-scale/src/log.js
function transformLog(x2) {
  return Math.log(x2);
}
function transformExp(x2) {
  return Math.exp(x2);
}
function transformLogn(x2) {
  return -Math.log(-x2);
}
function transformExpn(x2) {
  return -Math.exp(-x2);
}
function pow10(x2) {
  return isFinite(x2) ? +("1e" + x2) : x2 < 0 ? 0 : x2;
}
function powp(base) {
  return base === 10 ? pow10 : base === Math.E ? Math.exp : (x2) => Math.pow(base, x2);
}
function logp(base) {
  return base === Math.E ? Math.log : base === 10 && Math.log10 || base === 2 && Math.log2 || (base = Math.log(base), (x2) => Math.log(x2) / base);
}
function reflect(f) {
  return (x2, k) => -f(-x2, k);
}
function loggish(transform) {
  const scale = transform(transformLog, transformExp);
  const domain = scale.domain;
  let base = 10;
  let logs;
  let pows;
  function rescale() {
    logs = logp(base), pows = powp(base);
    if (domain()[0] < 0) {
      logs = reflect(logs), pows = reflect(pows);
      transform(transformLogn, transformExpn);
    } else {
      transform(transformLog, transformExp);
    }
    return scale;
  }
  scale.base = function(_) {
    return arguments.length ? (base = +_, rescale()) : base;
  };
  scale.domain = function(_) {
    return arguments.length ? (domain(_), rescale()) : domain();
  };
  scale.ticks = (count) => {
    const d = domain();
    let u = d[0];
    let v = d[d.length - 1];
    const r = v < u;
    if (r) [u, v] = [v, u];
    let i = logs(u);
    let j = logs(v);
    let k;
    let t;
    const n = count == null ? 10 : +count;
    let z = [];
    if (!(base % 1) && j - i < n) {
      i = Math.floor(i), j = Math.ceil(j);
      if (u > 0) for (; i <= j; ++i) {
        for (k = 1; k < base; ++k) {
          t = i < 0 ? k / pows(-i) : k * pows(i);
          if (t < u) continue;
          if (t > v) break;
          z.push(t);
        }
      }
      else for (; i <= j; ++i) {
        for (k = base - 1; k >= 1; --k) {
          t = i > 0 ? k / pows(-i) : k * pows(i);
          if (t < u) continue;
          if (t > v) break;
          z.push(t);
        }
      }
      if (z.length * 2 < n) z = ticks(u, v, n);
    } else {
      z = ticks(i, j, Math.min(j - i, n)).map(pows);
    }
    return r ? z.reverse() : z;
  };
  scale.tickFormat = (count, specifier) => {
    if (count == null) count = 10;
    if (specifier == null) specifier = base === 10 ? "s" : ",";
    if (typeof specifier !== "function") {
      if (!(base % 1) && (specifier = formatSpecifier(specifier)).precision == null) specifier.trim = true;
      specifier = format(specifier);
    }
    if (count === Infinity) return specifier;
    const k = Math.max(1, base * count / scale.ticks().length);
    return (d) => {
      let i = d / pows(Math.round(logs(d)));
      if (i * base < base - 0.5) i *= base;
      return i <= k ? specifier(d) : "";
    };
  };
  scale.nice = () => {
    return domain(nice(domain(), {
      floor: (x2) => pows(Math.floor(logs(x2))),
      ceil: (x2) => pows(Math.ceil(logs(x2)))
    }));
  };
  return scale;
}
function log() {
  const scale = loggish(transformer()).domain([1, 10]);
  scale.copy = () => copy(scale, log()).base(scale.base());
  initRange.apply(scale, arguments);
  return scale;
}

// node_modules/d3-shape/src/constant.js
function constant_default(x2) {
  return function constant2() {
    return x2;
  };
}

// node_modules/d3-path/dist/d3-path.mjs
var pi = Math.PI;
var tau = 2 * pi;
var epsilon = 1e-6;
var tauEpsilon = tau - epsilon;
function append(strings) {
  this._ += strings[0];
  for (let i = 1, n = strings.length; i < n; ++i) {
    this._ += arguments[i] + strings[i];
  }
}
function appendRound(digits) {
  let d = Math.floor(digits);
  if (!(d >= 0)) throw new Error(`invalid digits: ${digits}`);
  if (d > 15) return append;
  const k = 10 ** d;
  return function(strings) {
    this._ += strings[0];
    for (let i = 1, n = strings.length; i < n; ++i) {
      this._ += Math.round(arguments[i] * k) / k + strings[i];
    }
  };
}
function equal(x0, y0, x1, y1) {
  return x0 === x1 && y0 === y1;
}
function equalRound(digits) {
  const d = Math.floor(digits);
  if (!(d <= 15)) return equal;
  const k = 10 ** d;
  const r = function(value2) {
    return Math.round(value2 * k);
  };
  return function(x0, y0, x1, y1) {
    return r(x0) === r(x1) && r(y0) === r(y1);
  };
}
var Path = class {
  constructor(digits) {
    this._x0 = this._y0 = // start of current subpath
    this._x1 = this._y1 = null;
    this._ = "";
    this._append = digits == null ? append : appendRound(digits);
    this._equal = digits == null ? equal : equalRound(digits);
  }
  moveTo(x2, y2) {
    this._append`M${this._x0 = this._x1 = +x2},${this._y0 = this._y1 = +y2}`;
  }
  closePath() {
    if (this._x1 !== null) {
      this._x1 = this._x0, this._y1 = this._y0;
      this._append`Z`;
    }
  }
  lineTo(x2, y2) {
    this._append`L${this._x1 = +x2},${this._y1 = +y2}`;
  }
  quadraticCurveTo(x1, y1, x2, y2) {
    this._append`Q${+x1},${+y1},${this._x1 = +x2},${this._y1 = +y2}`;
  }
  bezierCurveTo(x1, y1, x2, y2, x3, y3) {
    this._append`C${+x1},${+y1},${+x2},${+y2},${this._x1 = +x3},${this._y1 = +y3}`;
  }
  arcTo(x1, y1, x2, y2, r) {
    x1 = +x1, y1 = +y1, x2 = +x2, y2 = +y2, r = +r;
    if (r < 0) throw new Error(`negative radius: ${r}`);
    let x0 = this._x1, y0 = this._y1, x21 = x2 - x1, y21 = y2 - y1, x01 = x0 - x1, y01 = y0 - y1, l01_2 = x01 * x01 + y01 * y01;
    if (this._x1 === null) {
      this._append`M${this._x1 = x1},${this._y1 = y1}`;
    } else if (!(l01_2 > epsilon)) ;
    else if (!(Math.abs(y01 * x21 - y21 * x01) > epsilon) || !r) {
      this._append`L${this._x1 = x1},${this._y1 = y1}`;
    } else {
      let x20 = x2 - x0, y20 = y2 - y0, l21_2 = x21 * x21 + y21 * y21, l20_2 = x20 * x20 + y20 * y20, l21 = Math.sqrt(l21_2), l01 = Math.sqrt(l01_2), l = r * Math.tan((pi - Math.acos((l21_2 + l01_2 - l20_2) / (2 * l21 * l01))) / 2), t01 = l / l01, t21 = l / l21;
      if (Math.abs(t01 - 1) > epsilon) {
        this._append`L${x1 + t01 * x01},${y1 + t01 * y01}`;
      }
      this._append`A${r},${r},0,0,${+(y01 * x20 > x01 * y20)},${this._x1 = x1 + t21 * x21},${this._y1 = y1 + t21 * y21}`;
    }
  }
  arc(x2, y2, r, a0, a1, ccw) {
    x2 = +x2, y2 = +y2, r = +r, ccw = !!ccw;
    if (r < 0) throw new Error(`negative radius: ${r}`);
    let dx = r * Math.cos(a0), dy = r * Math.sin(a0), x0 = x2 + dx, y0 = y2 + dy, cw = 1 ^ ccw, da = ccw ? a0 - a1 : a1 - a0;
    if (this._x1 === null) {
      this._append`M${x0},${y0}`;
    } else if (Math.abs(this._x1 - x0) > epsilon || Math.abs(this._y1 - y0) > epsilon) {
      this._append`L${x0},${y0}`;
    }
    if (!r) return;
    if (da < 0) da = da % tau + tau;
    if (da > tauEpsilon) {
      this._append`A${r},${r},0,1,${cw},${x2 - dx},${y2 - dy}A${r},${r},0,1,${cw},${this._x1 = x0},${this._y1 = y0}`;
    } else if (da > epsilon) {
      const x1 = x2 + r * Math.cos(a1);
      const y1 = y2 + r * Math.sin(a1);
      if (da >= pi && this._equal(x0, y0, x1, y1)) {
        da /= 2;
        let a00 = a0 + da;
        this._append`A${r},${r},0,${+(da >= pi)},${cw},${x2 + r * Math.cos(a00)},${y2 + r * Math.sin(a00)}`;
      }
      this._append`A${r},${r},0,${+(da >= pi)},${cw},${this._x1 = x1},${this._y1 = y1}`;
    }
  }
  rect(x2, y2, w, h2) {
    this._append`M${this._x0 = this._x1 = +x2},${this._y0 = this._y1 = +y2}h${w = +w}v${+h2}h${-w}Z`;
  }
  toString() {
    return this._;
  }
};
function path() {
  return new Path();
}
path.prototype = Path.prototype;

// node_modules/d3-shape/src/path.js
function withPath(shape) {
  let digits = 3;
  shape.digits = function(_) {
    if (!arguments.length) return digits;
    if (_ == null) {
      digits = null;
    } else {
      const d = Math.floor(_);
      if (!(d >= 0)) throw new RangeError(`invalid digits: ${_}`);
      digits = d;
    }
    return shape;
  };
  return () => new Path(digits);
}

// node_modules/d3-shape/src/array.js
var slice = Array.prototype.slice;
function array_default(x2) {
  return typeof x2 === "object" && "length" in x2 ? x2 : Array.from(x2);
}

// node_modules/d3-shape/src/curve/linear.js
function Linear(context) {
  this._context = context;
}
Linear.prototype = {
  areaStart: function() {
    this._line = 0;
  },
  areaEnd: function() {
    this._line = NaN;
  },
  lineStart: function() {
    this._point = 0;
  },
  lineEnd: function() {
    if (this._line || this._line !== 0 && this._point === 1) this._context.closePath();
    this._line = 1 - this._line;
  },
  point: function(x2, y2) {
    x2 = +x2, y2 = +y2;
    switch (this._point) {
      case 0:
        this._point = 1;
        this._line ? this._context.lineTo(x2, y2) : this._context.moveTo(x2, y2);
        break;
      case 1:
        this._point = 2;
      // falls through
      default:
        this._context.lineTo(x2, y2);
        break;
    }
  }
};
function linear_default(context) {
  return new Linear(context);
}

// node_modules/d3-shape/src/point.js
function x(p) {
  return p[0];
}
function y(p) {
  return p[1];
}

// node_modules/d3-shape/src/line.js
function line_default(x2, y2) {
  var defined = constant_default(true), context = null, curve = linear_default, output = null, path2 = withPath(line);
  x2 = typeof x2 === "function" ? x2 : x2 === void 0 ? x : constant_default(x2);
  y2 = typeof y2 === "function" ? y2 : y2 === void 0 ? y : constant_default(y2);
  function line(data) {
    var i, n = (data = array_default(data)).length, d, defined0 = false, buffer;
    if (context == null) output = curve(buffer = path2());
    for (i = 0; i <= n; ++i) {
      if (!(i < n && defined(d = data[i], i, data)) === defined0) {
        if (defined0 = !defined0) output.lineStart();
        else output.lineEnd();
      }
      if (defined0) output.point(+x2(d, i, data), +y2(d, i, data));
    }
    if (buffer) return output = null, buffer + "" || null;
  }
  line.x = function(_) {
    return arguments.length ? (x2 = typeof _ === "function" ? _ : constant_default(+_), line) : x2;
  };
  line.y = function(_) {
    return arguments.length ? (y2 = typeof _ === "function" ? _ : constant_default(+_), line) : y2;
  };
  line.defined = function(_) {
    return arguments.length ? (defined = typeof _ === "function" ? _ : constant_default(!!_), line) : defined;
  };
  line.curve = function(_) {
    return arguments.length ? (curve = _, context != null && (output = curve(context)), line) : curve;
  };
  line.context = function(_) {
    return arguments.length ? (_ == null ? context = output = null : output = curve(context = _), line) : context;
  };
  return line;
}

// src/lib/rank_lines.js
function rankLines(series, box) {
  const rows = Math.max(1, ...series.map((ranks) => ranks.length));
  const worst = Math.max(10, ...series.flat().map((rank) => rank ?? 1));
  const x2 = linear2([0, Math.max(1, rows - 1)], [box.left, box.width - box.right]);
  const y2 = log([1, 10 ** Math.ceil(Math.log10(worst) - 1e-9)], [box.top, box.height - box.bottom]);
  const path2 = line_default(
    /** @param {Point} p */
    (p) => p.x,
    (p) => p.y
  );
  const lines = series.map((ranks) => {
    const points = [];
    ranks.forEach((rank, row) => {
      if (rank !== null) points.push({ x: x2(row), y: y2(rank), row, rank });
    });
    return { points, path: runs(points).map((run) => path2(run) ?? "").join("") };
  });
  const powers = Array.from({ length: Math.round(Math.log10(y2.domain()[1])) + 1 }, (_, power) => 10 ** power);
  return { x: x2, y: y2, lines, ticks: powers.map((rank) => ({ rank, y: y2(rank) })) };
}
function runs(points) {
  const all = [];
  for (const point of points) {
    const run = all.at(-1);
    if (run && run[run.length - 1].row === point.row - 1) run.push(point);
    else all.push([point]);
  }
  return all;
}
function labelStride(count, width, each) {
  return Math.max(1, Math.ceil(count * each / Math.max(1, width)));
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
  const exponent2 = bits >> 10 & 31;
  const fraction = bits & 1023;
  if (exponent2 === 0) return sign2 * fraction * 2 ** -24;
  if (exponent2 === 31) return fraction ? NaN : sign2 * Infinity;
  return sign2 * (1 + fraction / 1024) * 2 ** (exponent2 - 15);
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

// src/token_grid/state.js
var TRAITS = [
  "title",
  "status",
  "quantity",
  "panel",
  "color_scheme",
  "selected",
  "pinned",
  "_tokens",
  "_next_token",
  "_vocabulary",
  "_panels"
];
function readState(model) {
  const panels = model.get("_panels");
  const tokens = model.get("_tokens");
  const panelIndex = Math.min(model.get("panel"), panels.length - 1);
  const panel = panels[panelIndex];
  const names = Object.keys(panel.quantities);
  const quantityName = names.includes(model.get("quantity")) ? model.get("quantity") : names[0];
  const selected = model.get("selected");
  const pins = model.get("pinned");
  const inside2 = selected && selected.row < panel.rows.length && selected.pos < tokens.length;
  return {
    title: model.get("title"),
    status: model.get("status"),
    tokens,
    nextToken: model.get("_next_token"),
    vocabulary: model.get("_vocabulary"),
    panels,
    panelIndex,
    panel,
    quantityName,
    quantity: panel.quantities[quantityName],
    scheme: model.get("color_scheme"),
    selected: inside2 ? selected : null,
    pinned: pins.every((pin) => pin.pos < tokens.length) ? pins : []
  };
}
var distinct = (items) => [...new Set(items)];
var lenses = (panels) => distinct(panels.map((panel) => panel.lens));
var components = (panels, lens) => distinct(panels.filter((panel) => panel.lens === lens).map((panel) => panel.component));
function findPanel(panels, lens, component) {
  const exact = panels.findIndex((panel) => panel.lens === lens && panel.component === component);
  return exact >= 0 ? exact : panels.findIndex((panel) => panel.lens === lens);
}
function candidates({ panel, vocabulary }, { row, pos }) {
  const top = decodeOnce(panel.top);
  const logprob = decodeOnce(panel.top_logprob);
  const [, positions, k] = top.shape;
  const start = (row * positions + pos) * k;
  return Array.from({ length: k }, (_, i) => {
    const id = top.values[start + i];
    return { id, token: vocabulary[id], logprob: logprob.values[start + i] };
  });
}
var hasTokens = (panel) => panel.top.shape[2] > 0;
function topId(panel, row, pos) {
  const { values, shape } = decodeOnce(panel.top);
  return values[(row * shape[1] + pos) * shape[2]];
}
function valueAt(quantity, row, pos) {
  const { values, shape } = decodeOnce(quantity.values);
  return values[row * shape[1] + pos];
}
function trackOf(panel, pos, id) {
  return exactTrack(panel, pos, id) ?? partialTrack(panel, pos, id);
}
function exactTrack({ tracks, rows }, pos, id) {
  if (!tracks) return null;
  const offsets = decodeOnce(tracks.offsets).values;
  const ids = decodeOnce(tracks.ids).values;
  for (let n = offsets[pos]; n < offsets[pos + 1]; n += 1) {
    if (ids[n] === id) {
      const start = n * rows.length;
      const end = start + rows.length;
      return {
        ranks: Array.from(decodeOnce(tracks.ranks).values.subarray(start, end), (rank) => rank + 1),
        logprobs: Array.from(decodeOnce(tracks.logprobs).values.subarray(start, end)),
        exact: true
      };
    }
  }
  return null;
}
function partialTrack({ top, top_logprob, rows }, pos, id) {
  const { values, shape } = decodeOnce(top);
  const logprob = decodeOnce(top_logprob).values;
  const track = { ranks: [], logprobs: [], exact: false };
  for (let row = 0; row < rows.length; row += 1) {
    const start = (row * shape[1] + pos) * shape[2];
    const rank = values.subarray(start, start + shape[2]).indexOf(id);
    track.ranks.push(rank < 0 ? null : rank + 1);
    track.logprobs.push(rank < 0 ? null : logprob[start + rank]);
  }
  return track.ranks.every((rank) => rank === null) ? null : track;
}
function togglePin(pins, pin) {
  const others = pins.filter((other) => !(other.pos === pin.pos && other.id === pin.id));
  return others.length < pins.length ? others : [...pins, pin];
}

// src/token_grid/text.js
var quoted = (token) => `“${visibleToken(token)}”`;
function withUnit(quantity, value2) {
  return formatNumber(value2, quantity.digits) + (quantity.unit ? ` ${quantity.unit}` : "");
}
function placeText({ panel, tokens }, { row, pos }) {
  return `${panel.rows[row]}, position ${pos} ${quoted(tokens[pos])}`;
}
function cellLabel({ panel, quantity, vocabulary }, { row, pos }) {
  if (hasTokens(panel)) return vocabulary[topId(panel, row, pos)];
  const value2 = valueAt(quantity, row, pos);
  if (!Number.isFinite(value2)) return "–";
  const rounded = Number(value2.toFixed(quantity.digits));
  return rounded === 0 ? "0" : formatNumber(rounded, quantity.digits);
}
function cellText(state, cell) {
  const chosen = `${state.quantity.label} ${withUnit(state.quantity, valueAt(state.quantity, cell.row, cell.pos))}`;
  if (!hasTokens(state.panel)) return `${placeText(state, cell)}: ${chosen}`;
  const [best] = candidates(state, cell);
  const parts = [
    `${placeText(state, cell)}: top token ${quoted(best.token)}, probability ${formatProbability(best.logprob)}`
  ];
  if (state.quantityName !== "probability") parts.push(chosen);
  return parts.join("; ");
}
function ranksText(state) {
  return state.pinned.map((pin) => {
    const track = trackOf(state.panel, pin.pos, pin.id);
    const ranks = track ? track.ranks.map((rank, row) => `${state.panel.rows[row]} ${rank === null ? "below the top tokens" : formatRank(rank)}`) : ["not tracked here"];
    return `Rank of ${quoted(pin.token)} at position ${pin.pos}: ${ranks.join(", ")}.`;
  }).join(" ");
}

// src/token_grid/tooltip.js
function tokenElement(token) {
  return h(
    "span",
    { class: "token-grid__token", dir: "auto" },
    ...tokenParts(token).map((part) => part.mark ? h("i", {}, part.text) : part.text)
  );
}
function cellContent(state, cell) {
  const { panel, tokens, nextToken } = state;
  const rows = candidates(state, cell).map(
    ({ token, logprob }, i) => h(
      "tr",
      {},
      h("td", { class: "token-grid__rank" }, String(i + 1)),
      h("td", {}, tokenElement(token)),
      h("td", { class: "token-grid__meter" }, probabilityBar(logprob)),
      h("td", { class: "token-grid__number" }, formatProbability(logprob))
    )
  );
  const quantities = Object.values(panel.quantities).map(
    (quantity) => h(
      "tr",
      { class: quantity === state.quantity ? "is-chosen" : "" },
      h("th", { scope: "row" }, quantity.label),
      h("td", { class: "token-grid__number" }, withUnit(quantity, valueAt(quantity, cell.row, cell.pos)))
    )
  );
  const place2 = [`${panel.rows[cell.row]} · position ${cell.pos} · ${hasTokens(panel) ? "after " : ""}`, tokenElement(tokens[cell.pos])];
  if (nextToken[cell.pos]) place2.push(" · next ", tokenElement(nextToken[cell.pos]));
  const tokenTable = hasTokens(panel) ? [h("table", {}, h("tbody", {}, ...rows))] : [];
  return [
    h("div", { class: "token-grid__place" }, ...place2),
    ...tokenTable,
    h("table", { class: "token-grid__quantities" }, h("tbody", {}, ...quantities))
  ];
}
function probabilityBar(logprob) {
  return h("span", { class: "token-grid__probability", style: { width: `${(100 * Math.exp(logprob)).toFixed(1)}%` } });
}
function headerContent({ tokens, nextToken }, pos) {
  const lines = [h("div", {}, `Input at position ${pos}: `, tokenElement(tokens[pos]))];
  if (nextToken[pos]) lines.push(h("div", {}, "Next token: ", tokenElement(nextToken[pos])));
  return lines;
}

// src/token_grid/details.js
function details(toggle) {
  const element = h("div", { class: "token-grid__details" });
  let shown = [];
  function update(state) {
    const width = element.parentElement?.clientWidth ?? 0;
    const key = [state.panel, state.tokens, state.selected, state.pinned, width];
    if (key.every((item, i) => item === shown[i])) return;
    shown = key;
    const root = (
      /** @type {Document | ShadowRoot} */
      element.getRootNode()
    );
    const focused = (
      /** @type {HTMLElement | null} */
      root.activeElement?.dataset?.key
    );
    const list = state.selected && hasTokens(state.panel) ? candidateList(state, state.selected, toggle) : null;
    element.hidden = list === null && state.pinned.length === 0;
    const wide = width >= 640;
    const chartWidth = Math.max(240, wide && list ? width - 280 : width);
    const chart = state.pinned.length > 0 ? rankChart(state, chartWidth, toggle) : null;
    element.replaceChildren(...[list, chart].filter((part) => part !== null));
    if (focused) [...element.querySelectorAll("button")].find((button) => button.dataset.key === focused)?.focus();
  }
  return { element, update };
}
function candidateList(state, cell, toggle) {
  const items = candidates(state, cell).map(({ id, token, logprob }) => {
    const index = state.pinned.findIndex((pin) => pin.pos === cell.pos && pin.id === id);
    const button = h(
      "button",
      {
        type: "button",
        ...OWN_KEYS,
        class: "token-grid__candidate",
        "data-key": `pin ${cell.pos} ${id}`,
        "aria-pressed": index >= 0 ? "true" : "false",
        title: index >= 0 ? "Unpin this token" : "Pin this token and draw its rank",
        onclick: () => toggle({ pos: cell.pos, token, id })
      },
      swatch(index),
      tokenElement(token),
      h("span", { class: "token-grid__meter" }, probabilityBar(logprob)),
      h("span", { class: "token-grid__number" }, formatProbability(logprob))
    );
    return h("li", {}, button);
  });
  return h(
    "section",
    { class: "token-grid__list", "aria-label": "Top tokens of the selected cell" },
    h("div", { class: "token-grid__caption" }, placeText(state, cell)),
    h("ol", {}, ...items)
  );
}
function swatch(index) {
  const color2 = index >= 0 ? PIN_COLORS[index % PIN_COLORS.length] : "transparent";
  return h("span", { class: "token-grid__swatch", style: { background: color2 } });
}
var dashes = (index) => index < PIN_COLORS.length ? null : `${2 + 3 * Math.floor(index / PIN_COLORS.length)} 3`;
function rankChart(state, width, toggle) {
  const { panel, pinned } = state;
  const tracks = pinned.map((pin) => trackOf(panel, pin.pos, pin.id));
  const box = { left: 74, right: 14, top: 10, bottom: 30, width, height: 210 };
  const chart = rankLines(tracks.map((track) => track?.ranks ?? []), box);
  const stride = labelStride(panel.rows.length, width - box.left - box.right, 12 + 7 * Math.max(...panel.rows.map((row) => row.length)));
  const picture = svg("svg", {
    class: "token-grid__chart",
    width,
    height: box.height,
    viewBox: `0 0 ${width} ${box.height}`,
    role: "img",
    "aria-label": ranksText(state)
  });
  for (const { rank, y: y2 } of chart.ticks) {
    picture.append(
      svg("line", { class: "token-grid__gridline", x1: box.left - 4, x2: width - box.right, y1: y2, y2 }),
      svg("text", { x: box.left - 8, y: y2 + 4, "text-anchor": "end" }, formatRank(rank))
    );
  }
  panel.rows.forEach((label, row) => {
    if ((panel.rows.length - 1 - row) % stride !== 0) return;
    picture.append(svg("text", { x: chart.x(row), y: box.height - 12, "text-anchor": "middle" }, label));
  });
  picture.append(svg("text", { class: "token-grid__axis", x: 12, y: box.height / 2, transform: `rotate(-90 12 ${box.height / 2})`, "text-anchor": "middle" }, "rank (1 = top)"));
  chart.lines.forEach((drawn, i) => {
    const color2 = PIN_COLORS[i % PIN_COLORS.length];
    picture.append(svg("path", { d: drawn.path, stroke: color2, "stroke-dasharray": dashes(i), fill: "none", "stroke-width": 2 }));
    for (const point of drawn.points) {
      const logprob = tracks[i]?.logprobs[point.row] ?? NaN;
      const words = `${quoted(pinned[i].token)} at position ${pinned[i].pos}, ${panel.rows[point.row]}: rank ${formatRank(point.rank)}, probability ${formatProbability(logprob)}`;
      picture.append(svg("circle", { cx: point.x, cy: point.y, r: panel.rows.length > 30 ? 2.5 : 3.5, fill: color2 }, svg("title", {}, words)));
    }
  });
  const chips = pinned.map((pin, i) => pinChip(state, pin, i, tracks[i], toggle));
  return h(
    "section",
    { class: "token-grid__ranks", "aria-label": "Ranks of the pinned tokens" },
    h("div", { class: "token-grid__chips" }, ...chips),
    picture
  );
}
function pinChip(state, pin, index, track, toggle) {
  const last = track?.ranks.at(-1);
  const k = state.panel.top.shape[2];
  let note = ` at ${formatNumber(pin.pos, 0)}`;
  if (!track) note += ", not tracked here";
  else if (!track.exact) note += `, only where in the top ${k}`;
  else if (last) note += `, ends at rank ${formatRank(last)}`;
  return h(
    "span",
    { class: "token-grid__chip" },
    swatch(index),
    tokenElement(pin.token),
    h("span", { class: "token-grid__note" }, note),
    h("button", {
      type: "button",
      ...OWN_KEYS,
      "data-key": `unpin ${pin.pos} ${pin.id}`,
      "aria-label": `Unpin ${quoted(pin.token)} at position ${pin.pos}`,
      title: "Unpin",
      onclick: () => toggle(pin)
    }, "×")
  );
}

// src/lib/color_scale.js
function colorScale(kind, low, high) {
  let [a, b] = [low, high];
  if (kind === "diverging") {
    const reach = Math.max(Math.abs(low), Math.abs(high));
    [a, b] = [-reach, reach];
  }
  const forward = kind === "log" ? Math.log10 : (value2) => value2;
  const [from, to] = [forward(a), forward(b)];
  const fraction = (value2) => {
    if (!(to > from)) return 0.5;
    return Math.min(1, Math.max(0, (forward(value2) - from) / (to - from)));
  };
  return {
    domain: [a, b],
    step: (value2) => Number.isNaN(value2) ? -1 : Math.round(fraction(value2) * (STEPS - 1)),
    ticks: tickValues(kind, a, b).map((value2) => ({ value: value2, at: fraction(value2) }))
  };
}
function tickValues(kind, a, b) {
  if (!(b > a)) return [a];
  if (kind !== "log") return ticks(a, b, 4);
  const first = Math.ceil(Math.log10(a) - 1e-9);
  const last = Math.floor(Math.log10(b) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first) / 4));
  const powers = [];
  for (let power = first; power <= last; power += every) powers.push(10 ** power);
  return powers.length >= 2 ? powers : [a, b];
}

// src/token_grid/painter.js
var TEXT_PX = 12;
var SMALL_PX = 10;
function stateScale({ quantity }) {
  return colorScale(quantity.scale, quantity.low, quantity.high);
}
function stateColors({ quantity, scheme: scheme2 }) {
  return colorTable(scheme2, quantity.scale === "diverging");
}
var Painter = class {
  /** @param {CanvasRenderingContext2D} context */
  constructor(context) {
    this.context = context;
    this.tokens = tokenWriter(context);
  }
  /**
   * Width of the widest row label, in CSS pixels.
   * @param {string[]} labels
   * @param {Theme} theme
   */
  labelWidth(labels, theme) {
    this.context.font = `${TEXT_PX}px ${theme.font}`;
    return Math.ceil(Math.max(...labels.map((label) => this.context.measureText(label).width)));
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
    inside(context, [layout.left, layout.top, view2.width - layout.left, view2.height - layout.top - layout.bottom], () => {
      this.paintCells(state, layout, view2, theme);
      this.paintMarks(state, layout, view2, theme, marks);
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
    const { fill: fill2, ink } = stateColors(state);
    const scale = stateScale(state);
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view2);
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x: x2, y: y2 } = cellOrigin(layout, view2, { row, pos });
        const step = scale.step(valueAt(state.quantity, row, pos));
        context.fillStyle = step < 0 ? theme.empty : fill2[step];
        context.fillRect(x2, y2, layout.cellWidth - 1, layout.cellHeight - 1);
        const token = cellLabel(state, { row, pos });
        const textInk = step < 0 ? inkOn(theme.empty) : ink[step];
        this.paintToken(token, x2, y2 + layout.cellHeight / 2, layout.cellWidth - 1, textInk, theme);
      }
    }
  }
  /**
   * @param {string} token
   * @param {number} x
   * @param {number} middle
   * @param {number} width
   * @param {string} ink
   * @param {Theme} theme
   */
  paintToken(token, x2, middle, width, ink, { font }) {
    this.tokens.centre(token, { x: x2, middle, width, room: width - 8, ink, font: `${TEXT_PX}px ${font}` });
  }
  /**
   * Outlines: where a pinned token is on top, the selected cell, the one under the pointer, the focused.
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   * @param {Marks} marks
   */
  paintMarks(state, layout, view2, theme, marks) {
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view2);
    state.pinned.forEach((pin, i) => {
      if (pin.pos < firstPos || pin.pos > lastPos) return;
      for (let row = firstRow; row <= lastRow; row += 1) {
        if (topId(state.panel, row, pin.pos) === pin.id) {
          ring(this.context, layout, view2, { row, pos: pin.pos }, [["#ffffff", 3.5], [PIN_COLORS[i % PIN_COLORS.length], 2.5]]);
        }
      }
    });
    for (const [name, cell] of Object.entries({ hover: marks.hover, selected: state.selected, focus: marks.focus })) {
      if (cell) ring(this.context, layout, view2, cell, rings(theme.focus)[
        /** @type {"hover"} */
        name
      ]);
    }
  }
  /**
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   * @param {Marks} marks
   */
  paintHeaders(state, layout, view2, theme, marks) {
    const { context } = this;
    const foot = view2.height - layout.bottom;
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view2);
    const active = marks.hover ?? marks.focus ?? state.selected;
    context.fillStyle = theme.header;
    context.fillRect(0, 0, view2.width, layout.top);
    context.fillRect(0, foot, view2.width, layout.bottom);
    context.fillRect(0, 0, layout.left, view2.height);
    inside(context, [layout.left, 0, view2.width - layout.left, view2.height], () => {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x: x2 } = cellOrigin(layout, view2, { row: 0, pos });
        const width = layout.cellWidth - 1;
        if (active?.pos === pos) {
          context.fillStyle = theme.line;
          context.fillRect(x2, foot, width, layout.bottom);
        }
        this.paintToken(state.tokens[pos], x2, foot + 14, width, theme.ink, theme);
        if (layout.top > 0 && state.nextToken[pos]) this.paintToken(state.nextToken[pos], x2, layout.top / 2, width, theme.ink, theme);
        context.font = `${SMALL_PX}px ${theme.font}`;
        context.fillStyle = theme.faint;
        context.textAlign = "center";
        context.fillText(String(pos), x2 + width / 2, foot + 30);
        this.paintPinDots(state, pos, x2 + width / 2, foot + 3);
      }
    });
    context.font = `${TEXT_PX}px ${theme.font}`;
    context.textAlign = "right";
    inside(context, [0, layout.top, layout.left, foot - layout.top], () => {
      for (let row = firstRow; row <= lastRow; row += 1) {
        const { y: y2 } = cellOrigin(layout, view2, { row, pos: 0 });
        if (active?.row === row) {
          context.fillStyle = theme.line;
          context.fillRect(0, y2, layout.left, layout.cellHeight - 1);
        }
        context.fillStyle = theme.ink;
        context.fillText(state.panel.rows[row], layout.left - 8, y2 + layout.cellHeight / 2, layout.left - 12);
      }
    });
    context.font = `${SMALL_PX}px ${theme.font}`;
    context.fillStyle = theme.faint;
    context.fillText("input", layout.left - 8, foot + 14);
    context.fillText("position", layout.left - 8, foot + 30);
    if (layout.top > 0) context.fillText("next", layout.left - 8, layout.top / 2);
    context.fillStyle = theme.line;
    context.fillRect(layout.left - 2, 0, 1, view2.height);
    context.fillRect(0, foot - 1, view2.width, 1);
    if (layout.top > 0) context.fillRect(0, layout.top - 2, view2.width, 1);
  }
  /**
   * Dots over a position's token, one a pin.
   * @param {State} state
   * @param {number} pos
   * @param {number} x
   * @param {number} y
   */
  paintPinDots(state, pos, x2, y2) {
    const pins = state.pinned.flatMap((pin, i) => pin.pos === pos ? [i] : []);
    pins.forEach((index, i) => {
      this.context.fillStyle = PIN_COLORS[index % PIN_COLORS.length];
      this.context.beginPath();
      this.context.arc(x2 + (i - (pins.length - 1) / 2) * 8, y2, 2.5, 0, 2 * Math.PI);
      this.context.fill();
    });
  }
};

// src/token_grid/toolbar.js
function toolbar(choose) {
  let state;
  let legendOf = [];
  function choosePanel(panel) {
    const { quantities, rows } = state.panels[panel];
    const changes = { panel };
    if (!(state.quantityName in quantities)) changes.quantity = Object.keys(quantities)[0];
    if (state.selected && state.selected.row >= rows.length) changes.selected = null;
    choose(changes);
  }
  const quantity = selector("Show", (value2) => choose({ quantity: value2 }));
  const lens = selector("Lens", (value2) => choosePanel(findPanel(state.panels, value2, state.panel.component)));
  const component = selector("Component", (value2) => choosePanel(findPanel(state.panels, state.panel.lens, value2)));
  const colors = selector("Colours", (value2) => choose({ color_scheme: value2 }));
  const legend = h("div", { class: "token-grid__legend" });
  const element = h(
    "div",
    { class: "workbench__tools" },
    lens.element,
    component.element,
    quantity.element,
    colors.element,
    legend
  );
  function update(next) {
    state = next;
    const names = Object.keys(next.panel.quantities);
    quantity.update(names, names.map((name) => next.panel.quantities[name].label), next.quantityName);
    const lensNames = lenses(next.panels);
    lens.update(lensNames, lensNames, next.panel.lens);
    const componentNames = components(next.panels, next.panel.lens);
    component.update(componentNames, componentNames, next.panel.component);
    const diverging = next.quantity.scale === "diverging";
    colors.update(SCHEMES, SCHEMES, next.scheme);
    colors.disable(diverging, "signed quantities are always drawn red–white–blue around zero");
    const key = [next.quantity, next.scheme];
    if (key.some((item, i) => item !== legendOf[i])) legend.replaceChildren(...legendParts(next));
    legendOf = key;
  }
  return { element, update };
}
function selector(label, changed) {
  const select = h("select", {
    class: "workbench__select",
    "aria-label": label,
    ...OWN_KEYS,
    onchange: () => changed(select.value)
  });
  const element = h("label", { class: "workbench__field" }, h("span", {}, label), select);
  let shown = "";
  return {
    element,
    /**
     * @param {string[]} values
     * @param {string[]} labels
     * @param {string} value
     */
    update(values, labels, value2) {
      const key = JSON.stringify([values, labels]);
      if (key !== shown) {
        select.replaceChildren(...values.map((item, i) => h("option", { value: item }, labels[i])));
        element.hidden = values.length < 2;
        shown = key;
      }
      select.value = value2;
    },
    /**
     * @param {boolean} disabled
     * @param {string} reason
     */
    disable(disabled, reason) {
      select.disabled = disabled;
      element.title = disabled ? reason : "";
    }
  };
}
function legendParts(state) {
  const { quantity } = state;
  const { fill: fill2 } = stateColors(state);
  const scale = stateScale(state);
  const stops = Array.from({ length: 17 }, (_, i) => fill2[Math.round(i / 16 * (fill2.length - 1))]);
  const [low, high] = scale.domain;
  const bar = h("div", {
    class: "token-grid__bar",
    style: { background: `linear-gradient(to right, ${stops.join(", ")})` }
  });
  const numbers = h(
    "div",
    { class: "token-grid__ticks", "aria-hidden": "true" },
    ...scale.ticks.map(
      ({ value: value2, at }) => h("span", { style: { left: `${at * 100}%` } }, tickText(value2))
    )
  );
  const unit2 = quantity.unit ? ` (${quantity.unit})` : "";
  const spoken = `Colours: ${quantity.label}${unit2} from ${formatNumber(low, quantity.digits)} to ${formatNumber(high, quantity.digits)}`;
  return [
    h("div", { class: "token-grid__legend-name" }, `${quantity.label}${unit2}`),
    h("div", { class: "token-grid__scale", role: "img", "aria-label": spoken }, bar, numbers)
  ];
}
function tickText(value2) {
  if (Math.abs(value2) >= 1e3) return `${Number((value2 / 1e3).toPrecision(3))}k`.replace("-", "−");
  return String(Number(value2.toPrecision(3))).replace("-", "−");
}

// src/lib/stand_in.js
function revive(value2) {
  if (Array.isArray(value2)) return value2.map(revive);
  if (value2 === null || typeof value2 !== "object") return value2;
  if (typeof value2.__bytes__ === "string") {
    const text = atob(value2.__bytes__);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return new DataView(bytes.buffer);
  }
  return Object.fromEntries(Object.entries(value2).map(([key, item]) => [key, revive(item)]));
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
  set(names, value2) {
    const changes = typeof names === "string" ? { [names]: value2 } : names;
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
    const known = this.listeners.get(event) ?? /* @__PURE__ */ new Set();
    this.listeners.set(event, known.add(listener));
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

// src/token_grid.js
var CELL_HEIGHT = 24;
var CELL_WIDTH = { least: 52, most: 116 };
var HEADER = { next: 26, input: 38 };
var MOST_HEIGHT = 560;
function render({ model, el }) {
  const shell = view("token-grid", { model, el, role: "token grid", traits: TRAITS, draw });
  const { scroller, root, tip, choose } = shell;
  const cells = grid(scroller, "token-grid");
  const painter = new Painter(cells.context);
  const bar = toolbar(choose);
  const below = details((pin) => choose({ pinned: togglePin(state.pinned, pin) }));
  let state = readState(model);
  let toldFrom = [];
  const pointable = {
    draw,
    under: cells.cellUnder,
    present: cells.has,
    placeOf: cells.placeOf,
    reveal: cells.reveal,
    content: (cell) => cellContent(state, cell),
    start: () => inside2(state.selected) ?? { row: cells.layout.rows - 1, pos: Math.round(scroller.scrollLeft / cells.layout.cellWidth) },
    click: (cell) => cell && activate(cell),
    key,
    beside(event) {
      const found = cells.under(event);
      if (!found || found.row !== null || found.pos === null) return;
      const column = cells.placeOf({ row: 0, pos: found.pos });
      tip.show(headerContent(state, found.pos), new DOMRect(column.x, event.clientY - 12, column.width, 24));
    }
  };
  const pointed = pointing(shell, pointable);
  function draw() {
    state = readState(model);
    if (root.clientWidth === 0) return;
    const look = { ...themeOf(root), empty: getComputedStyle(root).getPropertyValue("--token-grid-empty").trim() };
    bar.update(state);
    const { rows } = state.panel;
    cells.measure([rows, state.tokens.length, state.nextToken.length, root.clientWidth, look.font], MOST_HEIGHT, (room) => {
      const left = Math.min(150, Math.max(56, painter.labelWidth(rows, look) + 16));
      const cellWidth = fitCellWidth(room - left, state.tokens.length, CELL_WIDTH.least, CELL_WIDTH.most);
      const top = state.nextToken.length > 0 ? HEADER.next : 0;
      return { rows: rows.length, columns: state.tokens.length, cellWidth, cellHeight: CELL_HEIGHT, left, top, bottom: HEADER.input };
    });
    const from = [state.panel, state.quantity, state.tokens];
    if (from.some((part, i) => part !== toldFrom[i])) pointed.retell();
    toldFrom = from;
    const { hover, reached } = pointed.settle();
    painter.paint(state, cells.layout, cells.clear(look.background), look, { hover, focus: reached });
    const keys = hasTokens(state.panel) ? "Arrow keys move, Enter pins the cell's top token, Escape unpins all." : "Arrow keys move, Enter selects the cell, Escape clears the selection.";
    shell.head(state, `${state.title || "Token grid"}: ${cells.layout.rows} rows, ${cells.layout.columns} positions. ${keys}`);
    const spoken = hover ?? reached ?? inside2(state.selected);
    const use = hasTokens(state.panel) ? "pin its token" : "select it";
    shell.say(spoken ? cellText(state, spoken) : `Point at a cell or move with the arrow keys; click or press Enter to ${use}.`);
    below.update(state);
  }
  const inside2 = (cell) => cell && cells.has(cell) ? cell : null;
  function activate(cell) {
    const [best] = candidates(state, cell);
    const pinned = best ? togglePin(state.pinned, { pos: cell.pos, token: best.token, id: best.id }) : state.pinned;
    choose({ selected: cell, pinned });
  }
  function key({ key: pressed, shiftKey }, focus) {
    if (shiftKey) return false;
    const next = moveCell(pressed, focus, cells.layout, cells.page());
    if (next) return next;
    if (pressed === "Escape") choose({ selected: null, pinned: [] });
    else if (pressed === "Enter" || pressed === " ") activate(focus);
    else return false;
    return pressed === "Escape" ? true : focus;
  }
  return shell.open([shell.title, bar.element, shell.stage, shell.readout, below.element, tip.element]);
}
var token_grid_default = { render };
export {
  StandInModel,
  token_grid_default as default
};
