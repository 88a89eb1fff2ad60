/* Built by `npm run build` in widgets/; edit the sources there, never this file.
 * sources: build.mjs package-lock.json src/graph_view.js src/graph_view/components/index.js src/graph_view/components/layout.js src/graph_view/components/picture.js src/graph_view/components/routes.js src/graph_view/components/state.js src/graph_view/components/text.js src/graph_view/components/tip.js src/graph_view/components/toolbar.js src/graph_view/lanes/buttons.js src/graph_view/lanes/index.js src/graph_view/lanes/layout.js src/graph_view/lanes/picture.js src/graph_view/lanes/state.js src/graph_view/lanes/text.js src/graph_view/lanes/tip.js src/graph_view/lanes/toolbar.js src/graph_view/parts.js src/graph_view/places.js src/graph_view/tokens/boxes.js src/graph_view/tokens/frame.js src/graph_view/tokens/index.js src/graph_view/tokens/layout.js src/graph_view/tokens/panel.js src/graph_view/tokens/picture.js src/graph_view/tokens/state.js src/graph_view/tokens/text.js src/graph_view/tokens/tip.js src/graph_view/tokens/toolbar.js src/lib/arrays.js src/lib/colors.js src/lib/curves.js src/lib/dom.js src/lib/fit_text.js src/lib/lifecycle.js src/lib/numbers.js src/lib/pointing.js src/lib/sign_colors.js src/lib/stand_in.js src/lib/theme.js src/lib/tokens.js src/lib/tooltip.js src/lib/view.js
 * sources-sha256: a8453ff43ca11a9e26c81be784bb200ddee285949d6781064bb886487eb38033
 * body-sha256: c9f4807057d6a871c4c0898681a60fc4031f6b9f5728f67088100047a59cb4e4
 */
// src/lib/curves.js
var SAMPLES = 14;
function upright(start, end, least) {
  if (Math.abs(start.x - end.x) < 0.5) return route([`M${text(start)}`, `L${text(end)}`], () => [start, end]);
  const bend = Math.max(least, (start.y - end.y) / 2);
  const curve = [start, { x: start.x, y: start.y - bend }, { x: end.x, y: end.y + bend }, end];
  return route([`M${text(start)}`, cubicText(curve)], () => cubic(curve));
}
function route(parts2, trace) {
  let points = null;
  return {
    path: parts2.join(""),
    get points() {
      return points ??= trace();
    },
    get middle() {
      return halfway(this.points);
    }
  };
}
var text = ({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`;
var cubicText = ([, ...rest]) => `C${rest.map(text).join(" ")}`;
function cubic([a, b, c, d]) {
  return Array.from({ length: SAMPLES + 1 }, (_, i) => {
    const t = i / SAMPLES;
    const u = 1 - t;
    const weights = [u ** 3, 3 * u * u * t, 3 * u * t * t, t ** 3];
    const mix2 = (axis) => [a, b, c, d].reduce((sum, point, n) => sum + weights[n] * point[axis], 0);
    return { x: mix2("x"), y: mix2("y") };
  });
}
function halfway(points) {
  const lengths = points.slice(1).map((point, i) => Math.hypot(point.x - points[i].x, point.y - points[i].y));
  let left = lengths.reduce((sum, length) => sum + length, 0) / 2;
  for (let i = 0; i < lengths.length; i += 1) {
    if (left <= lengths[i] && lengths[i] > 0) {
      const part = left / lengths[i];
      const [a, b] = [points[i], points[i + 1]];
      return { x: a.x + part * (b.x - a.x), y: a.y + part * (b.y - a.y) };
    }
    left -= lengths[i];
  }
  return points[0];
}
function nearestRoute(routes, x, y, reach) {
  let best = -1;
  let least = reach * reach;
  routes.forEach(({ points }, index) => {
    for (let i = 1; i < points.length; i += 1) {
      const distance2 = squaredDistance(points[i - 1], points[i], x, y);
      if (distance2 < least) [best, least] = [index, distance2];
    }
  });
  return best;
}
function squaredDistance(a, b, x, y) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const along = length > 0 ? Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / length)) : 0;
  return (a.x + along * dx - x) ** 2 + (a.y + along * dy - y) ** 2;
}

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

// src/lib/pointing.js
function pointing({ scroller, tip, frame, listening, hasFocus }, of) {
  const now = { hover: null, focus: null, byKey: false };
  let told = null;
  const present = (item) => item && of.present(item) ? item : null;
  function tell(item, at2) {
    told = { item, at: at2 };
    tip.show(of.content(item), at2);
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
  for (var key2 in definition) prototype[key2] = definition[key2];
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
  let table2 = tables.get(name);
  if (!table2) {
    const interpolate = diverging ? RdBu_default : SEQUENTIAL[scheme2] ?? viridis_default;
    const fill2 = Array.from({ length: STEPS }, (_, step) => interpolate(step / (STEPS - 1)));
    tables.set(name, table2 = { fill: fill2, ink: fill2.map(inkOn) });
  }
  return table2;
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
  function open(parts2) {
    root.append(...parts2);
    el.append(root);
    const close = redrawOnChange({ model, traits, root, frame, stopped });
    draw();
    return close;
  }
  return { title, scroller, stage, readout, tip, root, frame, listening: { signal: stopped.signal }, choose, hasFocus, head, say, open };
}

// src/graph_view/places.js
function boxOf({ x, y, width, height, below = 0 }) {
  return { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 + below };
}
function nodeAt({ places }, x, y) {
  for (const place3 of places.values()) {
    const { left, right, top, bottom } = boxOf(place3);
    if (x >= left && x <= right && y >= top && y <= bottom) return place3.index;
  }
  return null;
}
function moveNode({ places, rows }, from, key2, beside = () => true) {
  const start = places.get(from);
  if (!start) return places.keys().next().value ?? from;
  if (key2 === "ArrowLeft" || key2 === "ArrowRight") {
    const row2 = rows[start.row];
    return row2[row2.indexOf(from) + (key2 === "ArrowRight" ? 1 : -1)] ?? from;
  }
  const at2 = (index) => (
    /** @type {P} */
    places.get(index)
  );
  const step = key2 === "ArrowUp" ? 1 : -1;
  for (const wanted2 of [(index) => beside(start, at2(index)), () => true]) {
    for (let row2 = start.row + step; row2 >= 0 && row2 < rows.length; row2 += step) {
      const found = rows[row2].filter(wanted2);
      if (found.length === 0) continue;
      return found.reduce((a, b) => Math.abs(at2(b).x - start.x) < Math.abs(at2(a).x - start.x) ? b : a);
    }
  }
  return from;
}

// src/graph_view/components/layout.js
var NODE_HEIGHT = 22;
var PORT_HEIGHT = 12;
var LAYER_LABELS = 40;
var MARGIN = 14;
var PITCH = { least: 50, most: 108 };
var GAP = { least: 15, most: 30 };
var USUAL_HEIGHT = 640;
function layOut(nodes, room, hasChannels) {
  const layers = [...new Set(nodes.filter(between).map((node) => node.layer))].sort((a, b) => a - b);
  const heads = mostInLayer(nodes, "head");
  const columns = Math.max(1, heads + mostInLayer(nodes, "mlp"));
  const pitch = clamp((room - LAYER_LABELS - MARGIN) / columns, PITCH.least, PITCH.most);
  const laneWidth = Math.max(16, pitch * 0.24);
  const across2 = columns * pitch;
  const width = Math.max(room, LAYER_LABELS + across2 + MARGIN);
  const left = LAYER_LABELS + (width - LAYER_LABELS - MARGIN - across2) / 2;
  const right = left + across2;
  const solid = 2 * NODE_HEIGHT + PORT_HEIGHT;
  const gap = clamp((USUAL_HEIGHT / (layers.length + 1) - solid) / 2, GAP.least, GAP.most);
  const rowHeight = solid + 2 * gap;
  const logits = MARGIN + NODE_HEIGHT / 2;
  const height = 2 * MARGIN + 2 * NODE_HEIGHT + layers.length * rowHeight + gap + 8;
  const headY = (row2) => logits + NODE_HEIGHT / 2 + (layers.length - row2) * rowHeight - PORT_HEIGHT - NODE_HEIGHT / 2 + 8;
  const filled = /* @__PURE__ */ new Map();
  const placed = nodes.map((node, index) => {
    if (!between(node)) {
      const alike = nodes.filter((other) => other.kind === node.kind);
      const share = across2 / alike.length;
      const row3 = node.kind === "embed" ? 0 : layers.length + 1;
      const barWidth = share - laneWidth;
      const x2 = left + (alike.indexOf(node) + 0.5) * share;
      const y2 = node.kind === "embed" ? height - MARGIN - NODE_HEIGHT / 2 : logits;
      return { index, x: x2, y: y2, width: barWidth, height: NODE_HEIGHT, row: row3, below: 0, ports: false, bar: true };
    }
    const row2 = layers.indexOf(node.layer);
    const key2 = `${node.kind} ${node.layer}`;
    const column = filled.get(key2) ?? 0;
    filled.set(key2, column + 1);
    const head = node.kind === "head";
    const ports = head && hasChannels;
    const x = left + ((head ? 0 : heads) + column + 0.5) * pitch;
    const y = headY(row2) - (head ? 0 : NODE_HEIGHT + gap);
    return { index, x, y, width: pitch - laneWidth, height: NODE_HEIGHT, row: row2 + 1, below: ports ? PORT_HEIGHT : 0, ports, bar: false };
  });
  const bands = layers.map((layer, row2) => {
    const bottom = headY(row2) + NODE_HEIGHT / 2 + PORT_HEIGHT + gap / 2;
    return { label: `L${layer}`, bottom, top: bottom - rowHeight, y: headY(row2) };
  });
  const lanes2 = Array.from({ length: columns + 1 }, (_, i) => left + i * pitch);
  const places = new Map(placed.map((place3) => [place3.index, place3]));
  const rows = Array.from({ length: layers.length + 2 }, (_, row2) => placed.filter((place3) => place3.row === row2).sort((a, b) => a.x - b.x).map(({ index }) => index));
  return { width, height, left, right, places, rows, bands, lanes: lanes2, laneWidth };
}
var between = (node) => node.kind === "head" || node.kind === "mlp";
function mostInLayer(nodes, kind) {
  const counts = /* @__PURE__ */ new Map();
  for (const node of nodes) if (node.kind === kind) counts.set(node.layer, (counts.get(node.layer) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}
function entry(place3, channel) {
  const box = boxOf(place3);
  const third = place3.width / 3;
  const shift = place3.ports && channel ? (["q", "k", "v"].indexOf(channel) - 1) * third : 0;
  return { x: place3.x + shift, y: box.bottom };
}
var clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// src/graph_view/parts.js
var table = (rows) => h("table", {}, h("tbody", {}, ...rows));
var row = (name, value, more) => h(
  "tr",
  {},
  h("th", { scope: "row" }, name),
  h("td", {}, value),
  more === void 0 ? null : h("td", { class: "graph-view__more" }, more)
);
var key = (picture4, words) => h("span", { class: "graph-view__key" }, picture4, words);
var sample = (color2, width, more = {}) => svg(
  "svg",
  { width: 26, height: 12, "aria-hidden": "true" },
  svg("path", { d: "M0,6H26", stroke: color2, "stroke-width": width.toFixed(2), fill: "none", ...more })
);
var cutSample = () => svg(
  "svg",
  { width: 30, height: 12, "aria-hidden": "true" },
  svg("path", { d: "M0,6H30", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": "5 4", fill: "none" }),
  svg("path", { d: "M11,2L19,10M11,10L19,2", stroke: "currentColor", "stroke-width": 1.8, fill: "none" })
);
var cross = ({ x, y }, arm) => svg(
  "g",
  { class: "graph-view__cross", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` },
  svg("circle", { r: arm + 3.25 }),
  svg("path", { d: `M${-arm},${-arm}L${arm},${arm}M${-arm},${arm}L${arm},${-arm}` })
);
var button = (text2, words, onclick) => h("button", { type: "button", title: words, "aria-label": words, ...OWN_KEYS, onclick }, text2);
var field = (label, ...controls) => h("label", { class: "workbench__field" }, h("span", {}, label), h("span", { class: "workbench__range" }, ...controls));
var slider = (words, attributes) => h("input", { type: "range", class: "workbench__slider graph-view__slider", "aria-label": words, ...OWN_KEYS, ...attributes });
function legend() {
  const element = h("div", { class: "graph-view__legend" });
  let madeFrom = [];
  function update(from, parts2) {
    if (from.every((item, i) => item === madeFrom[i])) return;
    madeFrom = from;
    const active = (
      /** @type {HTMLElement | null} */
      /** @type {Document | ShadowRoot} */
      element.getRootNode().activeElement?.dataset?.name
    );
    element.replaceChildren(...parts2());
    if (active) element.querySelector(`[data-name="${active}"]`)?.focus();
  }
  return { element, update };
}
var toggled = (ids, id) => ids.has(id) ? [...ids].filter((other) => other !== id) : [...ids, id];

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
    const table2 = halfTable();
    const bits = new Uint16Array(
      /** @type {ArrayBuffer} */
      buffer
    );
    values = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i += 1) values[i] = table2[bits[i]];
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

// src/graph_view/components/state.js
var TRAITS = [
  "title",
  "unit",
  "status",
  "n_edges_shown",
  "mode",
  "selected",
  "cut_nodes",
  "cut_edges",
  "in_circuit_nodes",
  "in_circuit_edges",
  "_nodes",
  "_edges"
];
var CHANNELS = ["", "q", "k", "v"];
var MOST_EDGES = 2e3;
var edgeKey = (nNodes, source, target, channel) => (source * nNodes + target) * CHANNELS.length + channel;
var graphs = /* @__PURE__ */ new WeakMap();
function graphOf(nodes, edges) {
  const known3 = graphs.get(edges);
  if (known3 && known3.nodes === nodes) return known3;
  const weights = decodeOnce(edges.weight).values;
  const order = Array.from(weights, (_, i) => i).sort((a, b) => Math.abs(weights[b]) - Math.abs(weights[a]) || a - b);
  const rank = new Uint32Array(order.length);
  order.forEach((edge, place3) => rank[edge] = place3 + 1);
  const [source, target, channel] = [edges.source, edges.target, edges.channel].map((part) => decodeOnce(part).values);
  const edgeIndex = new Map(order.map((edge) => [edgeKey(nodes.length, source[edge], target[edge], channel[edge]), edge]));
  const graph = {
    nodes,
    edges,
    order,
    rank,
    edgeIndex,
    nodeIndex: new Map(nodes.map((node, i) => [node.id, i])),
    hasChannels: channel.some((code) => code > 0),
    most: order.length > 0 ? Math.abs(weights[order[0]]) : 0
  };
  graphs.set(edges, graph);
  return graph;
}
function readState(model) {
  const memberNodes = model.get("in_circuit_nodes");
  const memberEdges = model.get("in_circuit_edges");
  return {
    title: model.get("title"),
    unit: model.get("unit"),
    status: model.get("status"),
    graph: graphOf(model.get("_nodes"), model.get("_edges")),
    nEdgesShown: model.get("n_edges_shown"),
    mode: model.get("mode"),
    selected: model.get("selected"),
    cutNodes: new Set(model.get("cut_nodes")),
    cutEdges: new Set(model.get("cut_edges")),
    inCircuitNodes: memberNodes && new Set(memberNodes),
    inCircuitEdges: memberEdges && new Set(memberEdges)
  };
}
var nEdges = (graph) => graph.order.length;
function edgeAt(graph, index) {
  const source = decodeOnce(graph.edges.source).values[index];
  const target = decodeOnce(graph.edges.target).values[index];
  const channel = CHANNELS[decodeOnce(graph.edges.channel).values[index]];
  const ending = channel ? `.${channel}` : "";
  return {
    index,
    source,
    target,
    channel,
    id: `${graph.nodes[source].id}→${graph.nodes[target].id}${ending}`,
    weight: decodeOnce(graph.edges.weight).values[index],
    rank: graph.rank[index]
  };
}
function findEdge(graph, id) {
  const arrow = id.indexOf("→");
  if (arrow < 0) return -1;
  const source = graph.nodeIndex.get(id.slice(0, arrow));
  let end = id.slice(arrow + 1);
  let channel = "";
  if (!graph.nodeIndex.has(end) && /\.[qkv]$/.test(end)) [end, channel] = [end.slice(0, -2), end.slice(-1)];
  const target = graph.nodeIndex.get(end);
  if (source === void 0 || target === void 0) return -1;
  return graph.edgeIndex.get(edgeKey(graph.nodes.length, source, target, CHANNELS.indexOf(channel))) ?? -1;
}
function shownEdges(state) {
  const { graph, inCircuitEdges, nEdgesShown } = state;
  const room = Math.min(nEdgesShown, MOST_EDGES);
  const shown = /* @__PURE__ */ new Set();
  for (const id of inCircuitEdges ?? []) {
    const index = findEdge(graph, id);
    if (index >= 0) shown.add(index);
  }
  const members = [...shown].sort((a, b) => graph.rank[a] - graph.rank[b]);
  shown.clear();
  for (const index of members.slice(0, room)) shown.add(index);
  for (const index of graph.order) {
    if (shown.size >= room) break;
    shown.add(index);
  }
  for (const id of [...state.cutEdges, state.selected]) {
    const index = findEdge(graph, id);
    if (index >= 0) shown.add(index);
  }
  return [...shown].sort((a, b) => graph.rank[a] - graph.rank[b]).map((index) => edgeAt(graph, index));
}
var STEPS2 = [[30, 1], [100, 5], [500, 25], [MOST_EDGES, 100]];
function sliderStops(total) {
  const most = Math.min(total, MOST_EDGES);
  const stops = [];
  let count = 0;
  for (const [end, step] of STEPS2) for (; count < Math.min(end, most); count += step) stops.push(count);
  return [...stops, most];
}
function nearestStop(stops, count) {
  let best = 0;
  stops.forEach((stop, i) => {
    if (Math.abs(stop - count) < Math.abs(stops[best] - count)) best = i;
  });
  return best;
}
function toggleCut(state, id) {
  const node = state.graph.nodes[state.graph.nodeIndex.get(id) ?? -1];
  if (node?.kind === "logits") return null;
  return node ? { cut_nodes: toggled(state.cutNodes, id) } : { cut_edges: toggled(state.cutEdges, id) };
}
var isMember = (state, edge) => state.inCircuitEdges?.has(edge.id) ?? true;
function isIdle(state, edge) {
  const { nodes } = state.graph;
  return state.cutNodes.has(nodes[edge.source].id) || state.cutNodes.has(nodes[edge.target].id);
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

// src/lib/numbers.js
function formatNumber(value, digits) {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text2;
  if (size >= 1e7 || size > 0 && size < 0.5 * 10 ** -digits) {
    text2 = value.toExponential(1);
  } else {
    text2 = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }
  return text2.replace(/-/g, "−");
}
function formatRank(rank) {
  return rank.toLocaleString("en-US");
}

// src/graph_view/components/text.js
var DIGITS = 3;
var KINDS = { embed: "embedding", head: "attention head", mlp: "MLP", logits: "output" };
var READS = { q: "query", k: "key", v: "value" };
var signed = (value) => (value > 0 ? "+" : "") + formatNumber(value, DIGITS);
var withUnit = (state, value) => signed(value) + (state.unit ? ` ${state.unit}` : "");
function kindText(node) {
  const between2 = node.kind === "head" || node.kind === "mlp";
  return KINDS[node.kind] + (between2 ? `, layer ${node.layer}` : "");
}
function edgeName({ graph }, edge) {
  const [from, to] = [graph.nodes[edge.source].label, graph.nodes[edge.target].label];
  const read = READS[
    /** @type {keyof typeof READS} */
    edge.channel
  ];
  return `${from} → ${read ? `${read} of ` : ""}${to}`;
}
var rankText = ({ graph }, edge) => `rank ${formatRank(edge.rank)} of ${formatRank(nEdges(graph))} by size`;
function nodeText(state, node, drawn) {
  const parts2 = [`${node.label} (${kindText(node)}):`];
  parts2.push(node.score === null ? "effect not given;" : `effect ${withUnit(state, node.score)};`);
  parts2.push(`drawn edges: ${drawn.into} in, ${drawn.out} out`);
  return parts2.join(" ") + standing(state.cutNodes.has(node.id), state.inCircuitNodes?.has(node.id) ?? true);
}
function edgeText(state, edge) {
  const words = `${edgeName(state, edge)}: weight ${withUnit(state, edge.weight)}; ${rankText(state, edge)}`;
  return words + standing(state.cutEdges.has(edge.id), isMember(state, edge));
}
var standing = (cut2, member) => `${member ? "" : "; not in the circuit"}${cut2 ? "; cut" : ""}`;
function fitLabels(nodes, fits) {
  if (nodes.every((node, i) => fits(node.label, i))) return { texts: nodes.map((node) => node.label), whole: true };
  return { texts: nodes.map((node, i) => shortened(withoutLayer(node), (text2) => fits(text2, i))), whole: false };
}
function withoutLayer({ label, layer, kind }) {
  if (kind === "embed" || kind === "logits") return label;
  const prefix = `L${layer}`;
  const rest = label.slice(prefix.length);
  return label.startsWith(prefix) && /^[.H]/.test(rest) ? rest.replace(/^\./, "") : label;
}
function shortened(label, fits) {
  if (fits(label)) return label;
  const characters = Array.from(label.slice(0, 200));
  let count = characters.length - 1;
  while (count > 1 && !fits(`${characters.slice(0, count).join("")}…`)) count -= 1;
  return `${characters.slice(0, count).join("")}…`;
}

// src/graph_view/components/picture.js
var WIDTH = { least: 1, most: 7 };
var LABEL_SIZES = [12, 11, 10];
var lineWidth = (weight, most) => WIDTH.least + (most > 0 ? Math.abs(weight) / most : 0) * (WIDTH.most - WIDTH.least);
function picture(prefix) {
  const bands = svg("g", { class: "graph-view__bands" });
  const edges = svg("g", { class: "graph-view__edges" });
  const nodes = svg("g", { class: "graph-view__nodes" });
  const raised = svg("g", { class: "graph-view__raised", "aria-hidden": "true" });
  const element = svg("svg", { class: "graph-view__svg" }, bands, edges, raised, nodes);
  const pen = (
    /** @type {CanvasRenderingContext2D} */
    document.createElement("canvas").getContext("2d")
  );
  function paint(scene) {
    const { layout, shown, state } = scene;
    bands.replaceChildren(...layout.bands.flatMap((band, row2) => bandParts(layout, band, row2)));
    const linked = new Set(shown.flatMap((edge) => [edge.source, edge.target]));
    const ports = new Set(shown.map((edge) => `${edge.target} ${edge.channel}`));
    const lines = shown.map((edge) => edgeElement(scene, edge, `${prefix}-edge${edge.index}`)).reverse();
    const outside = (line) => Number(line.classList.contains("is-outside"));
    edges.replaceChildren(...lines.sort((a, b) => outside(b) - outside(a)));
    const labels = labelsOf(scene, pen);
    const most = Math.max(0, ...state.graph.nodes.map((node) => Math.abs(node.score ?? 0)));
    nodes.replaceChildren(...[...layout.places.values()].map((place3) => nodeElement(scene, place3, `${prefix}-node${place3.index}`, { label: labels.texts[place3.index], size: labels.size, most, linked: linked.has(place3.index), ports })));
  }
  function emphasise(scene, { item, selected, focus }) {
    const near = new Set(item?.type === "node" ? [item.index] : []);
    const bright = scene.shown.filter((edge) => item !== null && (item.type === "node" ? edge.source === item.index || edge.target === item.index : edge.index === item.index));
    for (const edge of bright) near.add(edge.source).add(edge.target);
    element.classList.toggle("is-dimmed", item !== null);
    const rings = [ring(scene, focus, "focus"), ring(scene, selected, "selected")].filter((each) => each !== null);
    raised.replaceChildren(...rings, ...bright.reverse().map((edge) => edgeElement(scene, edge, null)));
    [...nodes.children].forEach((node, index) => {
      node.classList.toggle("is-near", near.has(index));
      node.classList.toggle("is-selected", selected?.type === "node" && selected.index === index);
      node.classList.toggle("is-focus", focus?.type === "node" && focus.index === index);
    });
  }
  return { element, paint, emphasise };
}
function bandParts(layout, band, row2) {
  const stripe = svg("rect", {
    class: row2 % 2 === 0 ? "is-even" : "",
    x: 0,
    y: band.top,
    width: layout.width,
    height: band.bottom - band.top
  });
  return [stripe, svg("text", { x: 10, y: band.y, dy: "0.35em" }, band.label)];
}
function edgeElement({ state, routes, theme }, edge, id) {
  const route2 = (
    /** @type {Route} */
    routes.get(edge.index)
  );
  const { positive, negative } = signColors(theme.background);
  const cut2 = state.cutEdges.has(edge.id);
  const idle = isIdle(state, edge);
  const group = svg("g", {
    id,
    role: id && "img",
    class: ["graph-view__edge", cut2 && "is-cut", idle && "is-idle", !isMember(state, edge) && "is-outside"].filter(Boolean).join(" ")
  });
  const width = lineWidth(edge.weight, state.graph.most);
  group.append(svg("path", {
    class: "graph-view__line",
    d: route2.path,
    stroke: edge.weight < 0 ? negative : positive,
    "stroke-width": width.toFixed(2),
    // Dashes grow with the line, or a wide one would look solid.
    "stroke-dasharray": cut2 || idle ? `${(3 + width).toFixed(1)} ${(3 + 0.8 * width).toFixed(1)}` : null
  }));
  if (cut2) group.append(cross(route2.middle, 4.5));
  return group;
}
function ring({ state, shown, routes }, item, name) {
  const edge = item?.type === "edge" ? shown.find(({ index }) => index === item.index) : void 0;
  if (!edge) return null;
  const width = lineWidth(edge.weight, state.graph.most);
  const line = (more, kind) => svg("path", { class: `graph-view__ring ${kind}`, d: (
    /** @type {Route} */
    routes.get(edge.index).path
  ), "stroke-width": (width + more).toFixed(2) });
  return svg("g", {}, line(name === "focus" ? 11 : 7, `is-${name}`), line(4, "is-gap"));
}
function nodeElement({ state, theme }, place3, id, { label, size, most, linked, ports }) {
  const node = state.graph.nodes[place3.index];
  const cut2 = state.cutNodes.has(node.id);
  const outside = !(state.inCircuitNodes?.has(node.id) ?? true);
  const box = boxOf(place3);
  const [left, top, foot] = [box.left, box.top, box.top + place3.height];
  const fill2 = nodeFill(node.score, most, cut2 || outside, theme);
  const group = svg("g", {
    id,
    role: "img",
    "aria-label": `${node.label} (${kindText(node)})`,
    class: ["graph-view__node", `is-${node.kind}`, cut2 && "is-cut", outside && "is-outside", !linked && "is-unlinked"].filter(Boolean).join(" ")
  });
  if (place3.ports) {
    const third = place3.width / 3;
    ["q", "k", "v"].forEach((channel, i) => {
      const used = ports.has(`${place3.index} ${channel}`);
      const x = left + i * third;
      group.append(svg(
        "g",
        { class: used ? "graph-view__port is-used" : "graph-view__port" },
        svg("rect", { x: x + 0.5, y: foot - 3, width: third - 1, height: PORT_HEIGHT + 3, rx: 3 }),
        svg("text", { x: x + third / 2, y: foot + PORT_HEIGHT / 2, dy: "0.32em" }, channel)
      ));
    });
  }
  group.append(svg("rect", { class: "graph-view__box", x: left, y: top, width: place3.width, height: place3.height, rx: 4, fill: fill2 }));
  if (cut2) {
    const inset = 3;
    const [l, r, t, b] = [left + inset, box.right - inset, top + inset, foot - inset];
    group.append(svg("path", { class: "graph-view__strike", d: `M${l},${t}L${r},${b}M${l},${b}L${r},${t}` }));
  }
  group.append(svg("text", {
    class: "graph-view__label",
    x: place3.x,
    y: place3.y,
    dy: "0.35em",
    "font-size": size,
    fill: inkOn(fill2),
    stroke: cut2 ? fill2 : null
  }, label));
  return group;
}
function labelsOf({ state, layout, theme }, pen) {
  const written = (size2) => {
    pen.font = `600 ${size2}px ${theme.font}`;
    return fitLabels(state.graph.nodes, (text2, i) => pen.measureText(text2).width <= /** @type {Place} */
    layout.places.get(i).width - 4);
  };
  for (const size2 of LABEL_SIZES) {
    const { texts, whole: whole2 } = written(size2);
    if (whole2) return { texts, size: size2 };
  }
  const size = LABEL_SIZES[1];
  return { texts: written(size).texts, size };
}
function nodeFill(score, most, plain, theme) {
  if (plain || score === null || score === 0) return theme.background;
  const { positive, negative } = signColors(theme.background);
  return mix(theme.background, score < 0 ? negative : positive, 0.12 + 0.68 * Math.abs(score) / most);
}

// src/graph_view/components/routes.js
var CLEARANCE = 2;
var BEND = 16;
var TURNS = [44, 26, 14];
var LANE_STEP = 2.6;
var known2 = /* @__PURE__ */ new WeakMap();
function routeEdges(layout, edges) {
  const boxes = [...layout.places.values()].map(boxOf);
  const found = known2.get(layout) ?? /* @__PURE__ */ new Map();
  known2.set(layout, found);
  return new Map(edges.map((edge) => {
    const route2 = found.get(edge.index) ?? routeEdge(layout, boxes, edge);
    found.set(edge.index, route2);
    return [edge.index, route2];
  }));
}
function routeEdge(layout, boxes, edge) {
  const [from, to] = [edge.source, edge.target].map((index) => (
    /** @type {Place} */
    layout.places.get(index)
  ));
  const end = entry(to, edge.channel);
  const top = from.y - from.height / 2;
  const obstacles = boxes.filter((box, i) => i !== edge.source && i !== edge.target && box.bottom > end.y && box.top < top);
  const x2 = to.bar ? within(to, from.x) : end.x;
  const direct = upright({ x: from.bar ? within(from, x2) : from.x, y: top }, { x: x2, y: end.y }, BEND);
  if (clear(direct.points, obstacles)) return direct;
  const offsets = laneOffsets(layout.laneWidth);
  const offset = offsets[edge.rank % offsets.length];
  const near = from.bar ? end.x : from.x;
  const way = (x) => (from.bar ? 0 : Math.abs(x - from.x)) + (to.bar ? 0 : Math.abs(x - end.x)) + 0.01 * Math.abs(x - near);
  const lanes2 = [...layout.lanes].sort((a, b) => way(a) - way(b));
  let first = null;
  for (const lane of lanes2) {
    const x = lane + offset;
    const start = { x: from.bar ? within(from, x) : from.x, y: top };
    const stop = { x: to.bar ? within(to, x) : end.x, y: end.y };
    for (const turnFrom of TURNS) {
      for (const turnTo of TURNS) {
        const found = throughLane(start, stop, x, turnFrom, turnTo);
        first ??= found;
        if (clear(found.points, obstacles)) return found;
      }
    }
  }
  return first ?? direct;
}
function within(bar, x) {
  const reach = bar.width / 2 - 6;
  return Math.min(bar.x + reach, Math.max(bar.x - reach, x));
}
function laneOffsets(width) {
  const side = Math.max(0, Math.floor((width / 2 - 2 * CLEARANCE) / LANE_STEP));
  return [0, ...Array.from({ length: side }, (_, i) => [(i + 1) * LANE_STEP, -(i + 1) * LANE_STEP]).flat()];
}
function throughLane(start, end, lane, turnFrom, turnTo) {
  const out = { x: lane, y: start.y - turnFrom };
  const back = { x: lane, y: end.y + turnTo };
  const first = [start, { x: start.x, y: start.y - turnFrom / 2 }, { x: lane, y: out.y + turnFrom / 2 }, out];
  const last = [back, { x: lane, y: back.y - turnTo / 2 }, { x: end.x, y: end.y + turnTo / 2 }, end];
  return route(
    [`M${text(start)}`, cubicText(first), `L${text(back)}`, cubicText(last)],
    () => [...cubic(first), ...cubic(last)]
  );
}
function clear(points, boxes) {
  return boxes.every((box) => {
    const wide = { left: box.left - CLEARANCE, right: box.right + CLEARANCE, top: box.top - CLEARANCE, bottom: box.bottom + CLEARANCE };
    return points.every((point, i) => i === 0 || !meets(points[i - 1], point, wide));
  });
}
function meets(a, b, box) {
  let [from, to] = [0, 1];
  const sides = [[a.x, b.x - a.x, box.left, box.right], [a.y, b.y - a.y, box.top, box.bottom]];
  for (const [at2, run, low, high] of sides) {
    if (run === 0) {
      if (at2 < low || at2 > high) return false;
      continue;
    }
    const [near, far] = [(low - at2) / run, (high - at2) / run].sort((p, q) => p - q);
    from = Math.max(from, near);
    to = Math.min(to, far);
    if (from > to) return false;
  }
  return true;
}

// src/graph_view/components/tip.js
var MOST_LISTED = 3;
function nodeContent(state, index, shown) {
  const node = state.graph.nodes[index];
  const into = shown.filter((edge) => edge.target === index);
  const out = shown.filter((edge) => edge.source === index);
  const rows = [row("effect", node.score === null ? "not given" : withUnit(state, node.score))];
  if (state.inCircuitNodes) rows.push(row("in the circuit", state.inCircuitNodes.has(node.id) ? "yes" : "no"));
  if (state.cutNodes.has(node.id)) rows.push(row("cut", "yes"));
  return [
    h("div", { class: "graph-view__place" }, node.label, h("span", { class: "graph-view__kind" }, ` ${kindText(node)}`)),
    table(rows),
    ...strongest("reads", into, (edge) => state.graph.nodes[edge.source].label + (edge.channel ? ` by ${edge.channel}` : "")),
    ...strongest("is read by", out, (edge) => state.graph.nodes[edge.target].label + (edge.channel ? `.${edge.channel}` : "")),
    ...node.note ? [h("div", { class: "graph-view__note" }, node.note)] : []
  ];
}
function edgeContent(state, edge) {
  const rows = [row("weight", withUnit(state, edge.weight)), row("", rankText(state, edge))];
  if (state.inCircuitEdges) rows.push(row("in the circuit", isMember(state, edge) ? "yes" : "no"));
  if (state.cutEdges.has(edge.id)) rows.push(row("cut", "yes"));
  return [h("div", { class: "graph-view__place" }, edgeName(state, edge)), table(rows)];
}
function strongest(caption, edges, name) {
  if (edges.length === 0) return [];
  const more = edges.length - MOST_LISTED;
  return [
    h("div", { class: "graph-view__caption" }, caption + (more > 0 ? ` (${MOST_LISTED} of ${edges.length} drawn)` : "")),
    table(edges.slice(0, MOST_LISTED).map((edge) => row(name(edge), signed(edge.weight))))
  ];
}

// src/graph_view/components/toolbar.js
function toolbar({ prefix, choose }) {
  let stops = [0];
  const modes = ["select", "cut"].map((mode) => {
    const input = h("input", { type: "radio", name: `${prefix}-mode`, value: mode, ...OWN_KEYS, onchange: () => choose({ mode }) });
    return { mode, input, element: h("label", { class: "graph-view__mode" }, input, h("span", {}, mode)) };
  });
  const most = slider("Number of edges drawn", { min: 0, step: 1, oninput: () => choose({ n_edges_shown: stops[Number(most.value)] }) });
  const count = h("span", { class: "graph-view__count" });
  const order = h("span", {});
  const meanings = legend();
  const element = h(
    "div",
    { class: "workbench__tools" },
    h("fieldset", { class: "graph-view__modes" }, h("legend", {}, "A click will"), ...modes.map((mode) => mode.element)),
    field(order, most, count),
    meanings.element
  );
  function update({ state, shown, theme }) {
    order.textContent = state.inCircuitEdges ? "Edges, the circuit's first" : "Edges, strongest first";
    for (const { mode, input } of modes) input.checked = mode === state.mode;
    const total = nEdges(state.graph);
    stops = sliderStops(total);
    most.max = String(stops.length - 1);
    most.value = String(nearestStop(stops, state.nEdgesShown));
    const words = `${formatRank(shown.length)} of ${formatRank(total)}`;
    if (count.textContent !== words) count.textContent = words;
    most.setAttribute("aria-valuetext", words);
    meanings.update([state.graph, state.unit, state.inCircuitEdges !== null, theme.background], () => legendParts(state, theme));
  }
  return { element, update };
}
function legendParts({ graph, unit, inCircuitEdges }, theme) {
  const { positive, negative } = signColors(theme.background);
  const parts2 = [key(sample(positive, 4), "positive"), key(sample(negative, 4), "negative")];
  if (graph.most > 0) {
    const half = graph.most / 2;
    const widths = h(
      "span",
      { class: "graph-view__widths" },
      sample("currentColor", lineWidth(half, graph.most)),
      `±${formatNumber(half, DIGITS)}`,
      sample("currentColor", lineWidth(graph.most, graph.most)),
      `±${formatNumber(graph.most, DIGITS)}${unit ? ` ${unit}` : ""}`
    );
    parts2.push(h("span", { class: "graph-view__key" }, widths));
  }
  if (graph.hasChannels) {
    const ports = ["q", "k", "v"].map((channel) => h("span", { class: "graph-view__port-key" }, channel));
    parts2.push(key(h("span", {}, ...ports), "query, key, value"));
  }
  if (inCircuitEdges) parts2.push(key(sample("currentColor", 2, { opacity: 0.3 }), "not in the circuit"));
  parts2.push(key(cutSample(), "cut"));
  return parts2;
}

// src/graph_view/components/index.js
var HINT = "Point at a component or an edge. Arrow keys move, e steps through a component's edges, Enter selects, x cuts.";
var idOf = ({ state }, { type, index }) => type === "node" ? state.graph.nodes[index].id : edgeAt(state.graph, index).id;
function selectedOf({ state: { graph, selected }, routes }) {
  const node = graph.nodeIndex.get(selected);
  if (node !== void 0) return { type: "node", index: node };
  const edge = findEdge(graph, selected);
  return routes.has(edge) ? { type: "edge", index: edge } : null;
}
function describe({ state, shown }, { type, index }) {
  if (type === "edge") return edgeText(state, edgeAt(state.graph, index));
  const drawn = {
    into: shown.filter((edge) => edge.target === index).length,
    out: shown.filter((edge) => edge.source === index).length
  };
  return nodeText(state, state.graph.nodes[index], drawn);
}
var components = {
  role: "circuit graph",
  traits: TRAITS,
  read: readState,
  picture,
  toolbar,
  describe,
  scene(state, width, theme, old) {
    const same2 = old && old.state.graph === state.graph && old.width === width;
    const layout = same2 ? old.layout : layOut(state.graph.nodes, width, state.graph.hasChannels);
    const shown = shownEdges(state);
    return { state, layout, shown, width, routes: routeEdges(layout, shown), theme };
  },
  label({ state, shown }) {
    const action = state.mode === "cut" ? "cuts it, or restores it" : "selects it";
    return `${state.title || "Circuit graph"}: ${state.graph.nodes.length} components, ${shown.length} edges drawn. A click ${action}. Arrow keys move, e steps through a component's edges, Enter selects, x cuts, Escape selects nothing.`;
  },
  emphasis(scene, { hover, reached }) {
    const selected = selectedOf(scene);
    const item = hover ?? reached ?? selected;
    return { marks: { item, selected }, words: item ? describe(scene, item) : HINT };
  },
  content: ({ state, shown }, { type, index }) => type === "node" ? nodeContent(state, index, shown) : edgeContent(state, edgeAt(state.graph, index)),
  edge: ({ state }, index) => edgeAt(state.graph, index),
  edgesOf: ({ shown }, node) => shown.filter((edge) => edge.source === node || edge.target === node).map(({ index }) => index),
  start: ({ state }) => state.graph.nodeIndex.get(state.selected),
  clickable: () => true,
  click(scene, item, shift) {
    if (!item) return { selected: "" };
    return shift || scene.state.mode === "cut" ? toggleCut(scene.state, idOf(scene, item)) : { selected: idOf(scene, item) };
  },
  key(scene, key2, item) {
    if (key2 === "Enter" || key2 === " ") return { selected: idOf(scene, item) };
    if (key2 === "x" || key2 === "Delete" || key2 === "Backspace") return toggleCut(scene.state, idOf(scene, item));
    return key2 === "Escape" ? { selected: "" } : void 0;
  }
};

// src/graph_view/lanes/state.js
var TRAITS2 = [
  "title",
  "status",
  "mode",
  "threshold",
  "selected",
  "expand",
  "scales",
  "_nodes",
  "_edges",
  "_numbers"
];
var LANES = ["mlp", "resid", "attn"];
var graphs2 = /* @__PURE__ */ new WeakMap();
function graphOf2(nodes, encoded) {
  const known3 = graphs2.get(encoded);
  if (known3 && known3.nodes === nodes) return known3;
  const [source, target, weight] = [encoded.source, encoded.target, encoded.weight].map((part) => decodeOnce(part).values);
  const edges = Array.from(weight, (value, index) => ({ index, source: source[index], target: target[index], weight: value }));
  const graph = { nodes, edges, nodeIndex: new Map(nodes.map((node, i) => [node.id, i])) };
  graphs2.set(encoded, graph);
  return graph;
}
function readState2(model) {
  return {
    title: model.get("title"),
    status: model.get("status"),
    mode: model.get("mode"),
    threshold: model.get("threshold"),
    selected: model.get("selected"),
    graph: graphOf2(model.get("_nodes"), model.get("_edges")),
    numbers: model.get("_numbers"),
    scales: model.get("scales"),
    wishes: model.get("expand")[2] ?? 0
  };
}
function shownPart({ graph, threshold, selected, scales }) {
  const strong = graph.edges.filter((edge) => edge.weight >= threshold - 1e-6);
  const neighbours2 = graph.nodes.map(() => []);
  for (const { source, target } of strong) {
    neighbours2[source].push(target);
    neighbours2[target].push(source);
  }
  const roots = graph.nodes.flatMap((node, i) => node.root ? [i] : []);
  const alone = new Set(graph.nodes.keys());
  for (const { source, target } of graph.edges) [source, target].forEach((end) => alone.delete(end));
  const open = roots.length > 0 ? roots : graph.nodes.flatMap((_, i) => neighbours2[i].length > 0 || alone.has(i) ? [i] : []);
  const nodes = new Set(open);
  while (open.length > 0) {
    for (const next of neighbours2[
      /** @type {number} */
      open.pop()
    ]) {
      if (nodes.has(next)) continue;
      nodes.add(next);
      open.push(next);
    }
  }
  for (const id of [selected, ...Object.keys(scales)]) {
    const index = graph.nodeIndex.get(id);
    if (index !== void 0) nodes.add(index);
  }
  return { nodes, edges: strong.filter(({ source, target }) => nodes.has(source) && nodes.has(target)) };
}
function strongestPath(all, edges, start) {
  const nodes = [start];
  const taken = /* @__PURE__ */ new Set();
  for (const up of [true, false]) {
    for (let at2 = start; ; ) {
      const ways = edges.filter((edge) => (up ? edge.source : edge.target) === at2);
      if (ways.length === 0) break;
      const resid = ways.filter((edge) => all[up ? edge.target : edge.source].lane === "resid");
      const best = (resid.length > 0 ? resid : ways).reduce((a, b) => b.weight > a.weight ? b : a);
      taken.add(best.index);
      at2 = up ? best.target : best.source;
      if (up) nodes.push(at2);
      else nodes.unshift(at2);
    }
  }
  return { nodes, edges: taken };
}
function numbersOf({ numbers }, index) {
  const at2 = (array) => decodeOnce(array).values[index];
  const thresholds = decodeOnce(numbers.thresholds).values;
  return {
    resid: at2(numbers.resid),
    mlp: at2(numbers.mlp),
    attn: at2(numbers.attn),
    successor: at2(numbers.successor),
    thresholds: thresholds.slice(4 * index, 4 * index + 4),
    before: at2(numbers.before),
    after: at2(numbers.after)
  };
}
function scaled({ scales }, id, factor) {
  const { [id]: _, ...others } = scales;
  return factor === 1 ? others : { ...others, [id]: factor };
}
var expanded = ({ wishes }, id, way) => ({ selected: id, expand: [id, way, wishes + 1] });
function mostActive({ numbers }) {
  const sizes = [numbers.before, numbers.after].flatMap((array) => Array.from(decodeOnce(array).values, Math.abs));
  return Math.max(0, ...sizes.filter(Number.isFinite));
}

// src/graph_view/lanes/buttons.js
function buttons({ choose }, scene) {
  const expand = (way) => choose(expanded(scene().state, scene().state.selected, way));
  const scale = (factor) => choose({ scales: scaled(scene().state, scene().state.selected, factor) });
  const up = button("▲", "Expand up: show more successors (u)", () => expand("up"));
  const down = button("▼", "Expand down: show more predecessors (d)", () => expand("down"));
  const scales = FACTORS.map(({ factor, text: text2, words }) => ({ factor, element: button(text2, words, () => scale(factor)) }));
  const above = h("div", { class: "graph-view__buttons", role: "group", "aria-label": "Grow the graph upwards" }, up);
  const group = h("span", { class: "graph-view__scales", role: "group", "aria-label": "Activation of the selected feature" }, ...scales.map(({ element }) => element));
  const below = h("div", { class: "graph-view__buttons", role: "group", "aria-label": "Grow the graph downwards, change the activation" }, down, group);
  function update({ state, layout }) {
    const selected = state.graph.nodeIndex.get(state.selected) ?? -1;
    const place3 = layout.places.get(selected);
    above.hidden = below.hidden = !place3 || state.mode !== "edit";
    if (above.hidden || !place3) return;
    const now = state.scales[state.selected] ?? 1;
    for (const { factor, element } of scales) element.setAttribute("aria-pressed", String(factor === now));
    const half = layout.nodeHeight / 2;
    const ended = state.graph.nodes[selected].ended;
    above.style.top = `${place3.y - half - GAP2 - HEIGHT - (ended ? 6 : 0)}px`;
    below.style.top = `${place3.y + half + GAP2}px`;
    for (const part of [above, below]) {
      const reach = part.offsetWidth / 2 + 2;
      part.style.left = `${Math.min(layout.width - reach, Math.max(reach, place3.x))}px`;
    }
  }
  return { elements: [above, below], update };
}
var FACTORS = [
  { factor: 0, text: "off", words: "Switch the feature off (0)" },
  { factor: 1, text: "×1", words: "Leave the feature as it is (1)" },
  { factor: 2, text: "×2", words: "Double the activation (2)" },
  { factor: 4, text: "×4", words: "Four times the activation (4)" }
];
var GAP2 = 4;
var HEIGHT = 24;

// src/graph_view/lanes/layout.js
var NODE_WIDTH = { least: 78, most: 158, scrolled: 128 };
var NODE_HEIGHT2 = { look: 38, edit: 60 };
var BESIDE = 14;
var ABOVE = 46;
var LAYER_LABELS2 = 44;
var LANE_LABELS = 26;
var MARGIN2 = 12;
var LANE_GAP = 10;
var SWEEPS = 4;
var BEND2 = 18;
function layOut2(nodes, edges, shown, room, mode) {
  const all = new Set(nodes.keys());
  const whole2 = arrange(nodes, edges, all, room, mode);
  if (whole2.width <= room || shown.size === all.size) return withOnly(whole2, shown);
  return { ...arrange(nodes, edges, shown, room, mode), packed: true };
}
function withOnly(layout, shown) {
  const places = new Map([...layout.places].filter(([index]) => shown.has(index)));
  return { ...layout, places, rows: layout.rows.map((row2) => row2.filter((index) => shown.has(index))) };
}
function arrange(nodes, edges, shown, room, mode) {
  const drawn = [...shown].sort((a, b) => a - b);
  const heights = [...new Set(drawn.map((index) => heightOf(nodes[index])))].sort((a, b) => a - b);
  const rows = heights.map((height2) => drawn.filter((index) => heightOf(nodes[index]) === height2));
  const rowOf = new Map(rows.flatMap((row2, number2) => row2.map((index) => [index, number2])));
  const lanes2 = LANES.filter((lane) => drawn.some((index) => nodes[index].lane === lane));
  const across2 = lanes2.map((lane) => Math.max(...rows.map((row2) => row2.filter((index) => nodes[index].lane === lane).length)));
  const total = across2.reduce((sum, count) => sum + count, 0);
  const free = room - LAYER_LABELS2 - MARGIN2 - (lanes2.length - 1) * LANE_GAP;
  const each = Math.floor(free / Math.max(1, total)) - BESIDE;
  const nodeWidth = each < NODE_WIDTH.least ? NODE_WIDTH.scrolled : Math.min(each, NODE_WIDTH.most);
  const pitch = nodeWidth + BESIDE;
  const spare = Math.max(0, free - total * pitch) / Math.max(1, lanes2.length);
  const columns = [];
  let x = LAYER_LABELS2;
  lanes2.forEach((lane, i) => {
    const right = x + across2[i] * pitch + spare;
    columns.push({ lane, left: x, right });
    x = right + LANE_GAP;
  });
  const width = Math.max(room, x - LANE_GAP + MARGIN2);
  const nodeHeight = mode === "edit" ? NODE_HEIGHT2.edit : NODE_HEIGHT2.look;
  const height = LANE_LABELS + rows.length * (nodeHeight + ABOVE) + MARGIN2 + ABOVE / 2;
  const middle = (row2) => LANE_LABELS + (rows.length - row2) * (nodeHeight + ABOVE) - nodeHeight / 2;
  const xs = /* @__PURE__ */ new Map();
  const strips = rows.flatMap((row2) => columns.map((column) => ({
    column,
    members: row2.filter((index) => nodes[index].lane === column.lane)
  }))).filter(({ members }) => members.length > 0);
  for (const { column, members } of strips) {
    members.forEach((index, i) => xs.set(index, (column.left + column.right) / 2 + (i - (members.length - 1) / 2) * pitch));
  }
  const joined = neighbours(edges, rowOf);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const upwards2 = sweep % 2 === 0;
    for (const { column, members } of upwards2 ? strips : [...strips].reverse()) {
      const wanted2 = new Map(members.map((index) => [index, wish(index, joined[upwards2 ? "below" : "above"], xs)]));
      const ordered = [...members].sort((a, b) => at(wanted2, a) - at(wanted2, b) || at(xs, a) - at(xs, b) || a - b);
      const spread = spaced(ordered.map((index) => at(wanted2, index)), pitch, column.left + pitch / 2, column.right - pitch / 2);
      ordered.forEach((index, i) => xs.set(index, spread[i]));
    }
  }
  const places = new Map(drawn.map((index) => {
    const row2 = at(rowOf, index);
    return [index, { index, x: at(xs, index), y: middle(row2), width: nodeWidth, height: nodeHeight, row: row2 }];
  }));
  return {
    width,
    height,
    nodeWidth,
    nodeHeight,
    packed: false,
    places,
    columns,
    bands: bandsOf(nodes, rows, middle, nodeHeight),
    rows: rows.map((row2) => [...row2].sort((a, b) => at(xs, a) - at(xs, b)))
  };
}
var heightOf = ({ layer, lane }) => 2 * layer + (lane === "resid" ? 1 : 0);
function neighbours(edges, rowOf) {
  const found = { above: /* @__PURE__ */ new Map(), below: /* @__PURE__ */ new Map() };
  for (const { source, target, weight } of edges) {
    if (!rowOf.has(source) || !rowOf.has(target)) continue;
    found.below.set(target, [...found.below.get(target) ?? [], { other: source, weight }]);
    found.above.set(source, [...found.above.get(source) ?? [], { other: target, weight }]);
  }
  return found;
}
function wish(index, joined, xs) {
  let [sum, weights] = [0, 0];
  for (const { other, weight } of joined.get(index) ?? []) {
    const heavy = Math.max(weight, 0.01);
    sum += heavy * at(xs, other);
    weights += heavy;
  }
  return weights > 0 ? sum / weights : at(xs, index);
}
function spaced(wanted2, pitch, low, high) {
  const pools = [];
  wanted2.forEach((x, i) => {
    pools.push({ sum: x - i * pitch, count: 1 });
    while (pools.length > 1) {
      const [a, b] = pools.slice(-2);
      if (a.sum / a.count <= b.sum / b.count) break;
      pools.splice(-2, 2, { sum: a.sum + b.sum, count: a.count + b.count });
    }
  });
  const last = high - (wanted2.length - 1) * pitch;
  return pools.flatMap(({ sum, count }) => Array.from({ length: count }, () => clamp2(sum / count, low, Math.max(low, last)))).map((x, i) => x + i * pitch);
}
function bandsOf(nodes, rows, middle, nodeHeight) {
  const bands = /* @__PURE__ */ new Map();
  rows.forEach((row2, number2) => {
    const { layer } = nodes[row2[0]];
    const [top, bottom] = [middle(number2) - nodeHeight / 2 - ABOVE / 2, middle(number2) + nodeHeight / 2 + ABOVE / 2];
    const known3 = bands.get(layer);
    bands.set(layer, { layer, top, bottom: known3 ? known3.bottom : bottom });
  });
  return [...bands.values()];
}
function routeOf({ places, nodeHeight }, { source, target }) {
  const [from, to] = [at(places, source), at(places, target)];
  return upright({ x: from.x, y: from.y - nodeHeight / 2 }, { x: to.x, y: to.y + nodeHeight / 2 }, BEND2);
}
var at = (map, key2) => (
  /** @type {V} */
  map.get(key2)
);
var clamp2 = (value, low, high) => Math.min(high, Math.max(low, value));

// src/lib/fit_text.js
function fitText(text2, width, measure) {
  if (measure(text2) <= width) return text2;
  const characters = Array.from(text2.slice(0, 200));
  let count = characters.length;
  while (count > 1 && measure(`${characters.slice(0, count).join("").trimEnd()}…`) > width) count -= 1;
  return `${characters.slice(0, count).join("").trimEnd()}…`;
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
  const parts2 = [];
  const characters = Array.from(token);
  const first = characters.findIndex((character) => character !== " ");
  let last = characters.length - 1;
  while (last > first && characters[last] === " ") last -= 1;
  characters.forEach((character, i) => {
    const inner = character === " " && first >= 0 && i > first && i < last;
    const shown = inner ? null : sign(character);
    const text2 = shown ?? character;
    const mark = shown !== null;
    const previous = parts2.at(-1);
    if (previous && previous.mark === mark) previous.text += text2;
    else parts2.push({ text: text2, mark });
  });
  return parts2;
}
function visibleToken(token) {
  return tokenParts(token).map((part) => part.text).join("");
}

// src/graph_view/lanes/text.js
var LANE_NAMES = { mlp: "MLP", resid: "residual stream", attn: "attention" };
var CLASS_NAMES = {
  carried: "carried",
  processed: "processed",
  newborn: "newborn",
  unexplained: "unexplained",
  first: "first layer",
  module: "written by a module",
  dead: "dead",
  "": "class not known"
};
var CLASS_MEANINGS = {
  carried: "in the residual stream before, not in what the layer writes",
  processed: "in the residual stream before and in what the layer writes",
  newborn: "in what the layer writes, not in the residual stream before",
  unexplained: "in neither",
  first: "no dictionary lies before it",
  module: "what an MLP or attention writes",
  dead: "it writes nothing, or never changed on the texts",
  "": ""
};
var LONGEST_PATH = 12;
function shortName(id) {
  const found = /^L(\d+)\.\w+\/(.+)$/.exec(id);
  return found ? `${found[1]}/${found[2]}` : id;
}
var short = (value) => formatNumber(value, 2);
var scaleText = (factor) => factor === 0 ? "off" : `×${Number(factor.toFixed(2))}`;
function activationText({ before, after }) {
  const [was, is] = [before, after].map((value) => Number.isNaN(value) ? "" : short(value));
  return was && is ? `${was} → ${is}` : was || is;
}
var SIMILARITIES = (
  /** @type {const} */
  [
    ["resid", "residual stream before"],
    ["mlp", "MLP"],
    ["attn", "attention"],
    ["successor", "residual stream after"]
  ]
);
function similarityRows(state, index) {
  const numbers = numbersOf(state, index);
  return SIMILARITIES.map(([lane, name], i) => ({ name, value: numbers[lane], from: numbers.thresholds[i] })).filter(({ value }) => !Number.isNaN(value));
}
var heldAgainst = ({ value, from }) => Number.isNaN(from) ? "" : `${value >= from ? "high" : "low"}, from ${short(from)}`;
function nodeText2(state, shown, index) {
  const { nodes } = state.graph;
  const node = nodes[index];
  const parts2 = [`${node.id}${node.label ? ` “${node.label}”` : ""}: ${CLASS_NAMES[node.class]}`];
  const activation = activationText(numbersOf(state, index));
  if (node.ended) parts2.push("it ends here");
  if (activation) parts2.push(`activation ${activation}`);
  if (node.id in state.scales) parts2.push(scaleWords(state.scales[node.id]));
  const rows = similarityRows(state, index);
  if (rows.length > 0) {
    parts2.push(`similarity to its best match ${rows.map((row2) => {
      const held = heldAgainst(row2);
      return `in the ${row2.name} ${short(row2.value)}${held && ` (${held})`}`;
    }).join(", ")}`);
  }
  const path = strongestPath(nodes, shown.edges, index).nodes;
  if (path.length > 1) {
    const names = path.map((i) => shortName(nodes[i].id));
    parts2.push(`strongest path ${names.length > LONGEST_PATH ? `${names.slice(0, LONGEST_PATH).join(" → ")} → …` : names.join(" → ")}`);
  }
  return parts2.join("; ");
}
function edgeText2({ graph }, number2) {
  const { source, target, weight } = graph.edges[number2];
  return `${shortName(graph.nodes[source].id)} → ${shortName(graph.nodes[target].id)}: similarity ${short(weight)}`;
}
var scaleWords = (factor) => factor === 0 ? "switched off" : `activation ${scaleText(factor)}`;

// src/graph_view/lanes/picture.js
var WIDTH2 = { least: 1, most: 7 };
var STRIPE = 5;
var PADDING = 6;
var LAYER_STRIP = 36;
var LANE_STRIP = 22;
var lineWidth2 = (weight) => WIDTH2.least + Math.min(1, Math.max(0, weight)) * (WIDTH2.most - WIDTH2.least);
function picture2(prefix) {
  const ground = svg("g", { class: "graph-view__ground" });
  const edges = svg("g", { class: "graph-view__edges" });
  const nodes = svg("g", { class: "graph-view__nodes" });
  const layers = svg("g", { class: "graph-view__layers" });
  const lanes2 = svg("g", { class: "graph-view__lanes" });
  const element = svg("svg", { class: "graph-view__svg" }, ground, edges, nodes, lanes2, layers);
  const pen = (
    /** @type {CanvasRenderingContext2D} */
    document.createElement("canvas").getContext("2d")
  );
  let drawnEdges = /* @__PURE__ */ new Map();
  let drawnNodes = /* @__PURE__ */ new Map();
  function paint(scene) {
    const { layout, shown, routes } = scene;
    ground.replaceChildren(...groundParts(layout));
    layers.replaceChildren(...layerParts(layout));
    lanes2.replaceChildren(...laneParts(layout));
    const order = [...shown.edges].sort((a, b) => a.weight - b.weight || a.index - b.index);
    drawnEdges = new Map(order.map((edge) => [edge.index, svg("path", {
      id: `${prefix}-edge${edge.index}`,
      role: "img",
      class: "graph-view__edge",
      d: routes.get(edge.index)?.path,
      "stroke-width": lineWidth2(edge.weight).toFixed(2),
      "data-edge": edge.index
    })]));
    edges.replaceChildren(...drawnEdges.values());
    const most = mostActive(scene.state);
    drawnNodes = new Map([...layout.places.keys()].map((index) => [index, nodeElement2(scene, index, `${prefix}-node${index}`, pen, most)]));
    nodes.replaceChildren(...drawnNodes.values());
  }
  function emphasise(scene, { item, selected, focus }) {
    const path = item?.type === "node" ? strongestPath(scene.state.graph.nodes, scene.shown.edges, item.index) : null;
    const onPath = new Set(path?.nodes);
    element.classList.toggle("is-dimmed", path !== null);
    for (const [index, line] of drawnEdges) {
      line.classList.toggle("is-path", path?.edges.has(index) ?? false);
      line.classList.toggle("is-bright", item?.type === "edge" && item.index === index);
      line.classList.toggle("is-focus", focus?.type === "edge" && focus.index === index);
    }
    for (const [index, node] of drawnNodes) {
      node.classList.toggle("is-path", onPath.has(index));
      node.classList.toggle("is-selected", index === selected);
      node.classList.toggle("is-focus", focus?.type === "node" && focus.index === index);
    }
  }
  function hold({ columns }, { scrollLeft: x, scrollTop: y, clientWidth }) {
    layers.setAttribute("transform", `translate(${x},0)`);
    lanes2.setAttribute("transform", `translate(0,${y})`);
    [...lanes2.querySelectorAll("text")].forEach((text2, i) => {
      const [left, right] = [Math.max(columns[i].left, x + LAYER_STRIP), Math.min(columns[i].right, x + clientWidth)];
      text2.setAttribute("x", ((left < right ? left + right : columns[i].left + columns[i].right) / 2).toFixed(1));
    });
    layers.classList.toggle("is-held", x > 0);
    lanes2.classList.toggle("is-held", y > 0);
  }
  return { element, paint, emphasise, hold };
}
function groundParts({ bands, columns, width, height }) {
  return [
    ...bands.map((band, i) => svg("rect", {
      class: i % 2 === 0 ? "graph-view__band is-even" : "graph-view__band",
      x: 0,
      y: band.top,
      width,
      height: band.bottom - band.top
    })),
    ...columns.slice(1).map(({ left }) => svg("path", { class: "graph-view__border", d: `M${left - 5},4V${height}` }))
  ];
}
function layerParts({ bands, height }) {
  return [
    svg("rect", { class: "graph-view__behind", width: LAYER_STRIP, height }),
    ...bands.map((band) => svg("text", {
      class: "graph-view__layer",
      x: 8,
      y: (band.top + band.bottom) / 2,
      dy: "0.35em"
    }, band.layer < 0 ? "emb." : `L${band.layer}`))
  ];
}
function laneParts({ columns, width }) {
  return [
    svg("rect", { class: "graph-view__behind", width, height: LANE_STRIP }),
    ...columns.map(({ lane, left, right }) => svg("text", { class: "graph-view__lane", y: 15, x: (left + right) / 2 }, LANE_NAMES[lane]))
  ];
}
function nodeElement2({ state, layout, theme: { font } }, index, id, pen, most) {
  const node = state.graph.nodes[index];
  const { nodeWidth, nodeHeight } = layout;
  const { x, y } = (
    /** @type {import("./layout.js").Place} */
    layout.places.get(index)
  );
  const factor = state.scales[node.id] ?? 1;
  const room = nodeWidth - STRIPE - 2 * PADDING;
  const left = STRIPE + PADDING;
  const fit = (text2, size, weight, space) => {
    pen.font = `${weight} ${size}px ${font}`;
    return fitText(text2, space, (part) => pen.measureText(part).width);
  };
  const name = shortName(node.id);
  const label = visibleToken(node.label.trim() || name);
  const group = svg("g", {
    id,
    role: "img",
    "data-node": index,
    "aria-label": `${node.id}${node.label ? ` “${node.label}”` : ""}`,
    transform: `translate(${(x - nodeWidth / 2).toFixed(1)},${(y - nodeHeight / 2).toFixed(1)})`,
    class: ["graph-view__node", `is-${node.class || "unknown"}`, node.root && "is-root", factor === 0 && "is-off", factor !== 1 && "is-scaled"].filter(Boolean).join(" ")
  });
  if (node.ended) group.append(svg("path", { class: "graph-view__end", d: `M${nodeWidth / 2},0V-7M${nodeWidth / 2 - 12},-7H${nodeWidth / 2 + 12}` }));
  group.append(
    svg("rect", { class: "graph-view__box", width: nodeWidth, height: nodeHeight, rx: 5 }),
    svg("path", { class: "graph-view__stripe", d: `M${STRIPE},0.5V${nodeHeight - 0.5}H5A4.5,4.5 0 0 1 0.5,${nodeHeight - 5}V5A4.5,4.5 0 0 1 5,0.5Z` })
  );
  const badge = factor === 1 ? "" : scaleText(factor);
  pen.font = `700 11px ${font}`;
  const badgeWidth = badge ? pen.measureText(badge).width + 8 : 0;
  group.append(svg("text", { class: "graph-view__label", x: left, y: 16 }, fit(label, 12, 600, room - badgeWidth)));
  if (badge) group.append(svg("text", { class: "graph-view__badge", x: nodeWidth - PADDING, y: 16 }, badge));
  const small = node.label.trim() ? name : "";
  const kind = node.class === "module" || node.class === "" ? "" : CLASS_NAMES[node.class];
  pen.font = `400 10px ${font}`;
  const both = [small, kind].filter(Boolean).join(" · ");
  const line = pen.measureText(both).width <= room ? both : small || kind;
  group.append(svg("text", { class: "graph-view__name", x: left, y: 30 }, fit(line, 10, 400, room)));
  if (state.mode === "edit") group.append(...barParts(numbersOf(state, index), most, left, room));
  return group;
}
function barParts(numbers, most, left, room) {
  const length = (value) => most > 0 && Number.isFinite(value) ? Math.max(1, Math.abs(value) / most * room) : 0;
  const parts2 = [];
  if (Number.isFinite(numbers.before)) parts2.push(svg("rect", { class: "graph-view__before", x: left, y: 35, height: 4, width: length(numbers.before).toFixed(1) }));
  if (Number.isFinite(numbers.after)) parts2.push(svg("rect", { class: "graph-view__after", x: left, y: 40, height: 4, width: length(numbers.after).toFixed(1) }));
  parts2.push(svg("text", { class: "graph-view__activation", x: left, y: 55 }, activationText(numbers) || "activation not known"));
  return parts2;
}

// src/graph_view/lanes/tip.js
function nodeContent2(state, shown, index) {
  const { nodes } = state.graph;
  const node = nodes[index];
  const meaning = CLASS_MEANINGS[node.class];
  const rows = similarityRows(state, index).map((each) => row(each.name, short(each.value), heldAgainst(each)));
  const activation = activationText(numbersOf(state, index));
  const into = shown.edges.filter((edge) => edge.target === index).length;
  const out = shown.edges.filter((edge) => edge.source === index).length;
  const facts = [
    row("layer", `${node.layer}, ${LANE_NAMES[node.lane]}`, ""),
    ...activation ? [row("activation", activation, "")] : [],
    ...node.id in state.scales ? [row("changed", scaleWords(state.scales[node.id]), "")] : [],
    row("drawn edges", `${into} in, ${out} out`, "")
  ];
  return [
    h("div", { class: "graph-view__place" }, node.id),
    ...node.label ? [h("div", { class: "graph-view__words" }, node.label)] : [],
    h("div", { class: "graph-view__kind" }, h("b", {}, CLASS_NAMES[node.class]), meaning ? `: ${meaning}` : ""),
    table(facts),
    ...rows.length > 0 ? [h("div", { class: "graph-view__caption" }, "similarity to the best match"), table(rows)] : [],
    ...node.ended ? [h("div", { class: "graph-view__note" }, "It ends here: no successor is as similar as the threshold asks.")] : []
  ];
}
function edgeContent2({ graph }, number2) {
  const { source, target, weight } = graph.edges[number2];
  const [from, to] = [graph.nodes[source], graph.nodes[target]];
  const named2 = (node) => `${shortName(node.id)}${node.label ? ` “${node.label}”` : ""}, ${LANE_NAMES[node.lane]}`;
  return [
    h("div", { class: "graph-view__place" }, `${shortName(from.id)} → ${shortName(to.id)}`),
    table([row("from", named2(from), ""), row("to", named2(to), ""), row("similarity", short(weight), "")])
  ];
}

// src/graph_view/lanes/toolbar.js
function toolbar2({ choose }) {
  const least = slider("Least similarity drawn", { min: 0, max: 1, step: 0.01, oninput: () => choose({ threshold: Number(least.value) }) });
  const value = h("span", { class: "graph-view__value" });
  const count = h("span", { class: "graph-view__count" });
  const meanings = legend();
  const element = h("div", { class: "workbench__tools" }, field("Edges with a similarity of at least", least, value), count, meanings.element);
  function update({ state, shown }) {
    least.value = String(state.threshold);
    value.textContent = short(state.threshold);
    const { nodes, edges } = state.graph;
    const words = `${formatRank(shown.nodes.size)} of ${formatRank(nodes.length)} features, ${formatRank(shown.edges.length)} of ${formatRank(edges.length)} edges`;
    if (count.textContent !== words) count.textContent = words;
    least.setAttribute("aria-valuetext", `${short(state.threshold)}: ${words}`);
    meanings.update([state.graph, state.mode], () => legendParts2(state));
  }
  return { element, update };
}
function legendParts2({ graph, mode }) {
  const classes = Object.keys(CLASS_NAMES).filter((name) => name !== "" && graph.nodes.some((node) => node.class === name));
  const parts2 = classes.map((name) => h(
    "span",
    { class: `graph-view__key is-${name}`, title: CLASS_MEANINGS[name] },
    h("span", { class: "graph-view__swatch" }),
    CLASS_NAMES[name]
  ));
  if (graph.nodes.some((node) => node.root)) parts2.push(key(h("span", { class: "graph-view__swatch is-root" }), "asked for"));
  if (graph.nodes.some((node) => node.ended)) {
    parts2.push(key(svg("svg", { width: 24, height: 12, "aria-hidden": "true" }, svg("path", { class: "graph-view__end", d: "M12,11V4M2,4H22" })), "ends here"));
  }
  for (
    const [weight, words] of
    /** @type {[number, string][]} */
    [[0.25, short(0.25)], [1, `${short(1)} similarity`]]
  ) {
    parts2.push(key(sample("currentColor", lineWidth2(weight)), words));
  }
  if (mode === "edit") {
    parts2.push(key(h("span", { class: "graph-view__bar is-before" }), "activation before"));
    parts2.push(key(h("span", { class: "graph-view__bar is-after" }), "and after"));
  }
  return parts2;
}

// src/graph_view/lanes/index.js
var HINT2 = "Point at a feature. Arrow keys move, e steps through a feature's edges, Enter selects, Escape selects nothing.";
var EDIT_HINT = "Point at a feature. Arrow keys move, e steps through a feature's edges, Enter selects, u and d expand, 0, 1, 2 and 4 scale its activation, Escape selects nothing.";
var describe2 = ({ state, shown }, { type, index }) => type === "node" ? nodeText2(state, shown, index) : edgeText2(state, index);
var lanes = {
  role: "feature flow",
  traits: TRAITS2,
  read: readState2,
  picture: picture2,
  toolbar: toolbar2,
  over: buttons,
  describe: describe2,
  scene(state, width, theme) {
    const shown = shownPart(state);
    const layout = layOut2(state.graph.nodes, state.graph.edges, shown.nodes, width, state.mode);
    const routes = new Map(shown.edges.map((edge) => [edge.index, routeOf(layout, edge)]));
    return { state, shown, layout, routes, theme, width };
  },
  label: ({ state, shown }) => `${state.title || "Feature flow"}: ${shown.nodes.size} features, ${shown.edges.length} edges drawn. ` + (state.mode === "edit" ? EDIT_HINT : HINT2),
  emphasis(scene, { hover, reached }) {
    const { state, layout } = scene;
    const node = state.graph.nodeIndex.get(state.selected) ?? -1;
    const selected = layout.places.has(node) ? node : null;
    const item = hover ?? reached ?? (selected === null ? null : { type: "node", index: selected });
    return { marks: { item, selected }, words: item ? describe2(scene, item) : state.mode === "edit" ? EDIT_HINT : HINT2 };
  },
  content: ({ state, shown }, { type, index }) => type === "node" ? nodeContent2(state, shown, index) : edgeContent2(state, index),
  edge: ({ state }, index) => state.graph.edges[index],
  edgesOf: ({ shown }, node) => shown.edges.filter((edge) => edge.source === node || edge.target === node).sort((a, b) => b.weight - a.weight || a.index - b.index).map(({ index }) => index),
  start: ({ state: { graph, selected } }) => graph.nodeIndex.get(selected) ?? graph.nodes.findIndex((node) => node.root),
  clickable: (_, { type }) => type === "node",
  click: ({ state }, item) => ({ selected: item?.type === "node" ? state.graph.nodes[item.index].id : "" }),
  key({ state }, key2, { type, index }) {
    if (key2 === "Escape") return { selected: "" };
    const factor = FACTORS.find((each) => String(each.factor) === key2)?.factor;
    const way = { u: "up", d: "down" }[key2];
    const editing = state.mode === "edit" && (way !== void 0 || factor !== void 0);
    if (key2 !== "Enter" && key2 !== " " && !editing) return void 0;
    if (type === "edge") return null;
    const { id } = state.graph.nodes[index];
    if (way) return expanded(state, id, way);
    return factor === void 0 ? { selected: id } : { selected: id, scales: scaled(state, id, factor) };
  }
};

// src/graph_view/tokens/state.js
var TRAITS3 = [
  "title",
  "unit",
  "roots",
  "status",
  "mode",
  "threshold",
  "kinds_shown",
  "channels_shown",
  "word",
  "selected",
  "other",
  "cut_edges",
  "_tokens",
  "_nodes",
  "_edges",
  "_numbers"
];
var CHANNELS2 = ["", "q", "k", "v"];
var graphs3 = /* @__PURE__ */ new WeakMap();
function graphOf3(tokens2, nodes, encoded) {
  const known3 = graphs3.get(encoded);
  if (known3 && known3.nodes === nodes && known3.tokens === tokens2) return known3;
  const [source, target, weight, share, code] = [encoded.source, encoded.target, encoded.weight, encoded.share, encoded.channel].map((part) => decodeOnce(part).values);
  const edges = Array.from(weight, (value, index) => {
    const channel = CHANNELS2[code[index]];
    const id = `${nodes[source[index]].id} → ${nodes[target[index]].id}${channel && ` ${channel}`}`;
    return { index, id, source: source[index], target: target[index], weight: value, share: share[index], channel };
  });
  const into = nodes.map(() => []);
  const out = nodes.map(() => []);
  for (const edge of [...edges].sort((a, b) => b.share - a.share || a.index - b.index)) {
    into[edge.target].push(edge);
    out[edge.source].push(edge);
  }
  const graph = {
    tokens: tokens2,
    nodes,
    edges,
    into,
    out,
    nodeIndex: new Map(nodes.map((node, i) => [node.id, i])),
    edgeIndex: new Map(edges.map((edge) => [edge.id, edge.index]))
  };
  graphs3.set(encoded, graph);
  return graph;
}
function readState3(model) {
  return {
    title: model.get("title"),
    unit: model.get("unit"),
    roots: model.get("roots"),
    status: model.get("status"),
    mode: model.get("mode"),
    threshold: model.get("threshold"),
    kinds: new Set(model.get("kinds_shown")),
    channels: new Set(model.get("channels_shown")),
    word: model.get("word"),
    selected: model.get("selected"),
    other: model.get("other"),
    cuts: new Set(model.get("cut_edges")),
    graph: graphOf3(model.get("_tokens"), model.get("_nodes"), model.get("_edges")),
    numbers: model.get("_numbers")
  };
}
function numbersOf2({ numbers }, index) {
  const [score, relevance, rest] = [numbers.scores, numbers.relevance, numbers.rest].map((array) => decodeOnce(array).values[index]);
  return { score, relevance, rest };
}
var heightOf2 = ({ layer, row: row2 }) => 4 * layer + row2;
var wanted = ({ kinds }, { kind }) => kind === "embed" || kind === "state" || kinds.has(kind);
function shownPart2(state) {
  const { graph, threshold, channels: channels2, cuts, roots } = state;
  const strong = graph.edges.filter((edge) => edge.share >= threshold - 1e-6 && (edge.channel === "" || channels2.has(edge.channel)) && wanted(state, graph.nodes[edge.source]) && wanted(state, graph.nodes[edge.target]));
  const nodes = leading(state, strong, roots.flatMap((id) => graph.nodeIndex.get(id) ?? []));
  const ends = [state.selected, state.other].map((id) => graph.nodeIndex.get(id));
  const path = ends[0] === void 0 || ends[1] === void 0 ? null : strongestPath2(graph, ends[1], ends[0], cuts);
  const kept = [...cuts].map((id) => graph.edges[graph.edgeIndex.get(id) ?? -1]).filter((edge) => edge !== void 0);
  for (const index of ends) if (index !== void 0) nodes.add(index);
  for (const edge of [...path?.edges ?? [], ...kept]) nodes.add(edge.source).add(edge.target);
  const edges = new Set(strong.filter((edge) => nodes.has(edge.source) && nodes.has(edge.target)));
  for (const edge of [...path?.edges ?? [], ...kept]) edges.add(edge);
  return { nodes, edges: [...edges].sort((a, b) => a.share - b.share || a.index - b.index), path };
}
function leading(state, edges, roots) {
  const { nodes } = state.graph;
  if (roots.length === 0) return new Set(nodes.flatMap((node, i) => wanted(state, node) ? [i] : []));
  const found = new Set(roots);
  const order = [...edges].sort((a, b) => heightOf2(nodes[b.target]) - heightOf2(nodes[a.target]));
  for (const edge of order) if (found.has(edge.target)) found.add(edge.source);
  return found;
}
var upwards = /* @__PURE__ */ new WeakMap();
function strongestPath2(graph, a, b, cuts) {
  const [from, to] = heightOf2(graph.nodes[a]) <= heightOf2(graph.nodes[b]) ? [a, b] : [b, a];
  if (from === to) return null;
  const order = upwards.get(graph) ?? [...graph.edges].sort((x, y) => heightOf2(graph.nodes[x.source]) - heightOf2(graph.nodes[y.source]) || x.index - y.index);
  upwards.set(graph, order);
  const best = /* @__PURE__ */ new Map([[from, { product: 1, by: null }]]);
  for (const edge of order) {
    const start = best.get(edge.source);
    if (!start || cuts.has(edge.id)) continue;
    const product = start.product * edge.share;
    const known3 = best.get(edge.target);
    if (product > 0 && (!known3 || product > known3.product)) best.set(edge.target, { product, by: edge });
  }
  const end = best.get(to);
  if (!end) return null;
  const edges = [];
  for (let at2 = end; at2.by; at2 = /** @type {{product: number, by: Edge | null}} */
  best.get(at2.by.source)) edges.unshift(at2.by);
  return { nodes: [from, ...edges.map((edge) => edge.target)], edges, product: end.product };
}
function matching({ graph, word }, shown) {
  if (word.trim() === "") return null;
  return new Set([...shown.nodes].filter((i) => graph.nodes[i].words.some((each) => hasText(each, word))));
}
var hasText = (word, text2) => word.toLowerCase().includes(text2.trim().toLowerCase());
function chosen({ selected, other }, id, shift) {
  if (id === "") return { selected: "", other: "" };
  if (shift && selected) return { other: id === selected ? "" : id };
  return id === selected ? { selected, other } : { selected: id, other: selected };
}

// src/graph_view/tokens/layout.js
var STATE_HEIGHT = 22;
var MODULE_HEIGHT = 36;
var LAYER_STRIP2 = 62;
var TOKEN_STRIP = 38;
var STREAM = 22;
var MODULE_WIDTH = { least: 72, most: 112, scrolled: 82 };
var BESIDE2 = 12;
var MOST_BESIDE = 4;
var LINE_GAP = 12;
var COLUMN = { least: 74, empty: 34, gap: 12, spare: 70 };
var ABOVE2 = { state: 16, module: 15, layer: 20 };
var CROSSING = { least: 34, most: 84, each: 2.5 };
var MARGIN3 = 12;
var TOP = 14;
var ROW_NAMES = ["heads", "mid", "neurons", "post"];
function layOut3(nodes, edges, nTokens, shown, room) {
  const whole2 = arrange2(nodes, edges, nTokens, new Set(nodes.keys()), room);
  if (whole2.width > room) return arrange2(nodes, edges, nTokens, shown, room);
  const places = new Map([...whole2.places].filter(([index]) => shown.has(index)));
  return { ...whole2, places, rows: whole2.rows.map((row2) => row2.filter((index) => shown.has(index))) };
}
function arrange2(nodes, edges, nTokens, shown, room) {
  const drawn = [...shown].sort((a, b) => a - b);
  const serial = new Set(nodes.filter((node) => node.row === 1).map((node) => node.layer));
  const level = (node) => node.row === 2 && !serial.has(node.layer) ? heightOf2(node) - 2 : heightOf2(node);
  const levels = [...new Set(drawn.map((index) => level(nodes[index])))].sort((a, b) => a - b);
  const rows = levels.map((each) => drawn.filter((index) => level(nodes[index]) === each));
  const rowOf = new Map(rows.flatMap((row2, number2) => row2.map((index) => [index, number2])));
  const cells = rows.map((row2) => {
    const cell = Array.from({ length: nTokens }, () => (
      /** @type {number[]} */
      []
    ));
    for (const index of row2) cell[nodes[index].column].push(index);
    return cell;
  });
  const modules = Array.from({ length: nTokens }, (_, column) => Math.max(0, ...cells.map((row2) => across(row2[column].filter((index) => isModule(nodes[index])).length))));
  const empty = Array.from({ length: nTokens }, (_, column) => cells.every((row2) => row2[column].length === 0));
  const { columns, moduleWidth, width } = acrossOf(modules, empty, room);
  const lines = cells.map((row2) => Math.max(...row2.map((cell) => cell.length > MOST_BESIDE && isModule(nodes[cell[0]]) ? 2 : 1)));
  const { middles, height, bands } = upwardsOf(nodes, edges, rows, rowOf, lines);
  const places = /* @__PURE__ */ new Map();
  cells.forEach((row2, number2) => row2.forEach((cell, column) => {
    const { left, right } = columns[column];
    const pitch = moduleWidth + BESIDE2;
    const first = left + STREAM + Math.max(0, (right - left - STREAM - across(cell.length) * pitch + BESIDE2) / 2);
    const split = cell.length > MOST_BESIDE;
    cell.forEach((index, i) => {
      const module = isModule(nodes[index]);
      const x2 = module ? first + (split ? i / 2 : i) * pitch + moduleWidth / 2 : (left + right) / 2;
      const y = middles[number2] + (module && split ? (i % 2 === 0 ? 1 : -1) * (MODULE_HEIGHT + LINE_GAP) / 2 : 0);
      places.set(index, {
        index,
        x: x2,
        y,
        width: module ? moduleWidth : right - left,
        height: module ? MODULE_HEIGHT : STATE_HEIGHT,
        row: number2,
        column,
        module
      });
    });
  }));
  const x = (index) => (
    /** @type {Place} */
    places.get(index).x
  );
  return {
    width,
    height,
    places,
    columns,
    bands,
    rows: rows.map((row2) => [...row2].sort((a, b) => x(a) - x(b))),
    names: rows.map((row2, number2) => {
      const kinds = [...new Set(row2.filter((index) => nodes[index].kind !== "embed").map((index) => nodes[index].row))].sort();
      return { lines: kinds.map((kind) => ROW_NAMES[kind]), y: middles[number2] };
    })
  };
}
var across = (count) => count > MOST_BESIDE ? count / 2 + 0.5 : count;
var isModule = ({ kind }) => kind !== "embed" && kind !== "state";
function acrossOf(modules, empty, room) {
  const needs = (each) => modules.map((count, i) => empty[i] ? COLUMN.empty : Math.max(COLUMN.least, count && STREAM + count * (each + BESIDE2) - BESIDE2));
  const total = (widths2) => LAYER_STRIP2 + MARGIN3 + widths2.reduce((sum, each) => sum + each + COLUMN.gap, -COLUMN.gap);
  let moduleWidth = MODULE_WIDTH.most;
  while (moduleWidth > MODULE_WIDTH.least && total(needs(moduleWidth)) > room) moduleWidth -= 2;
  if (total(needs(moduleWidth)) > room) moduleWidth = MODULE_WIDTH.scrolled;
  const widths = needs(moduleWidth);
  const spare = Math.min(COLUMN.spare, Math.max(0, room - total(widths)) / widths.length);
  let left = LAYER_STRIP2;
  const columns = widths.map((each, token) => {
    const right = left + each + spare;
    const column = { token, left, right, empty: empty[token] };
    left = right + COLUMN.gap;
    return column;
  });
  return { columns, moduleWidth, width: Math.max(room, left - COLUMN.gap + MARGIN3) };
}
function upwardsOf(nodes, edges, rows, rowOf, lines) {
  const crossing = rows.map(() => 0);
  for (const { source, target } of edges) {
    const [from, to] = [rowOf.get(source), rowOf.get(target)];
    if (from !== void 0 && to !== void 0 && nodes[source].column !== nodes[target].column) crossing[to] += 1;
  }
  let y = TOKEN_STRIP + MARGIN3 / 2;
  const heights = rows.map((row2, number2) => {
    const module = isModule(nodes[row2[0]]);
    const below = number2 === 0 ? 0 : crossing[number2] > 0 ? Math.min(CROSSING.most, CROSSING.least + CROSSING.each * crossing[number2]) : nodes[row2[0]].layer !== nodes[rows[number2 - 1][0]].layer ? ABOVE2.layer : module ? ABOVE2.state : ABOVE2.module;
    const size = module ? lines[number2] * (MODULE_HEIGHT + LINE_GAP) - LINE_GAP : STATE_HEIGHT;
    y += below + size;
    return { layer: nodes[row2[0]].layer, middle: y - size / 2, bottom: y - size - below, top: y };
  });
  const height = y + TOP;
  const bands = /* @__PURE__ */ new Map();
  for (const { layer, bottom, top } of heights) {
    const known3 = bands.get(layer);
    bands.set(layer, { layer, top: height - top - 4, bottom: known3 ? known3.bottom : height - bottom - 4 });
  }
  return { middles: heights.map(({ middle }) => height - middle), height, bands: [...bands.values()] };
}
var BEND3 = 12;
function routeOf2({ places }, { source, target, channel }) {
  const [from, to] = [source, target].map((index) => (
    /** @type {Place} */
    places.get(index)
  ));
  const [y0, y1] = [from.y - from.height / 2, to.y + to.height / 2];
  if (!from.module && !to.module) {
    const x = (place3) => place3.x - place3.width / 2 + STREAM / 2;
    return upright({ x: x(from), y: y0 }, { x: x(to), y: y1 }, BEND3);
  }
  const port = to.module ? to.x + PORTS[channel] * to.width : within2(to, from.x);
  const start = from.module ? from.x : from.column === to.column ? within2(from, port) : from.x + from.width / 2 - 8;
  return upright({ x: start, y: y0 }, { x: port, y: y1 }, BEND3);
}
var PORTS = { "": 0, q: -0.3, k: 0, v: 0.3 };
var within2 = (bar, x) => Math.min(bar.x + bar.width / 2 - 6, Math.max(bar.x - bar.width / 2 + 6, x));

// src/graph_view/tokens/text.js
var CHANNEL_NAMES = (
  /** @type {Record<string, string>} */
  { v: "value", k: "key", q: "query" }
);
var LONGEST_PATH2 = 9;
var signed2 = (value) => (value > 0 ? "+" : "") + formatNumber(value, 3);
var withUnit2 = ({ unit }, value) => signed2(value) + (unit ? ` ${unit}` : "");
var percent = (share) => `${formatNumber(100 * share, share > 0 && share < 0.0995 ? 1 : 0)} %`;
var quoted = (word) => `“${visibleToken(word)}”`;
var place2 = ({ graph }, column) => `${quoted(graph.tokens[column])} (${column})`;
function shortName2({ id, kind }) {
  const found = kind === "head" ? /^L\d+(H\d+)/.exec(id) : kind === "neuron" ? /\/(\w+)@/.exec(id) : null;
  if (found) return found[1];
  return kind === "mlp" ? "MLP" : id.replace(/@\d+$/, "");
}
function kindText2(state, node) {
  const name = shortName2(node);
  const what = {
    embed: "embedding",
    state: `residual stream after ${node.row === 1 ? "the heads" : "the MLP"} of layer ${node.layer}`,
    head: `head ${name.replace(/^H/, "")} of layer ${node.layer}, writing`,
    neuron: `neuron ${name} of layer ${node.layer}`,
    mlp: `the other neurons of layer ${node.layer}`
  }[node.kind];
  return `${what} at ${place2(state, node.column)}`;
}
var wordsText = ({ words }, most = words.length) => words.slice(0, most).map(quoted).join(", ") + (words.length > most ? ", …" : "");
function edgeName2({ graph }, { source, target, channel }) {
  const read = channel ? `${CHANNEL_NAMES[channel]} of ` : "";
  return `${graph.nodes[source].id} → ${read}${graph.nodes[target].id}`;
}
function edgeText3(state, edge) {
  const [from, to] = [edge.source, edge.target].map((index) => state.graph.nodes[index]);
  const heads = [from, to].map((node) => node.words.length > 0 ? quoted(node.words[0]) : "no words");
  const cut2 = state.cuts.has(edge.id) ? "; cut" : "";
  return `${edgeName2(state, edge)} (${heads.join(" → ")}): weight ${withUnit2(state, edge.weight)}; ${percent(edge.share)} of what ${to.id} receives${cut2}`;
}
function receivedText(state, shown, index) {
  if (state.graph.into[index].length === 0) return "";
  const drawn = shown.edges.filter((edge) => edge.target === index);
  const { rest } = numbersOf2(state, index);
  const total = drawn.reduce((sum, edge) => sum + edge.share, 0);
  const edges = `${formatRank(drawn.length)} drawn edge${drawn.length === 1 ? " brings" : "s bring"} ${percent(total)} of what it receives`;
  return Number.isNaN(rest) ? edges : `${edges}, ${percent(rest)} comes from what the graph leaves out`;
}
function factTexts(state, index) {
  const { score, relevance } = numbersOf2(state, index);
  return [
    ...Number.isNaN(score) ? [] : [`contributes ${withUnit2(state, score)}`],
    ...Number.isNaN(relevance) ? [] : [`${percent(relevance)} of the flow passes it`]
  ];
}
function nodeText3(state, shown, index) {
  const node = state.graph.nodes[index];
  const parts2 = [`${node.id}: ${kindText2(state, node)}`];
  parts2.push(node.words.length > 0 ? `words ${wordsText(node)}` : "no words", ...factTexts(state, index));
  const received = receivedText(state, shown, index);
  if (received) parts2.push(received);
  for (
    const [name, edges, end] of
    /** @type {[string, Edge[], "source" | "target"][]} */
    [
      ["most from", state.graph.into[index], "source"],
      ["most to", state.graph.out[index], "target"]
    ]
  ) {
    const [first] = edges;
    if (first) parts2.push(`${name} ${state.graph.nodes[first[end]].id} (${signed2(first.weight)}, ${percent(first.share)})`);
  }
  return parts2.join("; ");
}
function pathText(state, path) {
  const { graph } = state;
  if (!path) {
    return `No path of edges that are not cut leads from one of ${state.other} and ${state.selected} to the other.`;
  }
  const steps = path.edges.map((edge) => {
    const node = graph.nodes[edge.target];
    const channel = edge.channel ? `${CHANNEL_NAMES[edge.channel]} ` : "";
    return ` → ${node.id}${node.words.length > 0 ? ` ${quoted(node.words[0])}` : ""} (${channel}${percent(edge.share)})`;
  });
  if (steps.length > LONGEST_PATH2) steps.splice(5, steps.length - LONGEST_PATH2, " → …");
  const first = graph.nodes[path.nodes[0]];
  const start = `${first.id}${first.words.length > 0 ? ` ${quoted(first.words[0])}` : ""}`;
  return `Strongest path, ${percent(path.product)} as the product of its ${path.edges.length} shares: ${start}${steps.join("")}`;
}

// src/graph_view/tokens/tip.js
var MOST_LISTED2 = 3;
function nodeContent3(state, shown, index) {
  const { graph } = state;
  const node = graph.nodes[index];
  const received = receivedText(state, shown, index);
  return [
    h("div", { class: "graph-view__place" }, node.id),
    h("div", { class: "graph-view__kind" }, kindText2(state, node)),
    h("div", { class: "graph-view__words" }, node.words.length > 0 ? wordsText(node) : "no words"),
    ...factTexts(state, index).map((words) => h("div", { class: "graph-view__fact" }, words)),
    ...listed("receives most from", state, graph.into[index], "source", MOST_LISTED2),
    ...listed("gives most to", state, graph.out[index], "target", MOST_LISTED2),
    ...received ? [h("div", { class: "graph-view__note" }, `Its ${received}.`)] : []
  ];
}
function edgeContent3(state, edge) {
  const [from, to] = [edge.source, edge.target].map((index) => state.graph.nodes[index]);
  const named2 = (node) => wordsText(node, 3) || "no words";
  return [
    h("div", { class: "graph-view__place" }, `${from.id} → ${to.id}`),
    table([
      row("from", named2(from), ""),
      row("to", named2(to), ""),
      ...edge.channel ? [row("read as", CHANNEL_NAMES[edge.channel], "")] : [],
      row("weight", withUnit2(state, edge.weight), ""),
      row("share", percent(edge.share), "of what the upper one receives"),
      ...state.cuts.has(edge.id) ? [row("cut", "yes", "")] : []
    ])
  ];
}
function listed(caption, state, edges, end, most) {
  if (edges.length === 0) return [];
  const more = edges.length > most ? ` (${most} of ${edges.length})` : "";
  return [
    h("div", { class: "graph-view__caption" }, caption + more),
    table(edges.slice(0, most).map((edge) => {
      const node = state.graph.nodes[edge[end]];
      const name = node.id + (edge.channel ? ` (${CHANNEL_NAMES[edge.channel]})` : "");
      return row(name, node.words.length > 0 ? quoted(node.words[0]) : "", `${signed2(edge.weight)} · ${percent(edge.share)}`);
    }))
  ];
}

// src/graph_view/tokens/panel.js
var MOST_LISTED3 = 8;
function panel() {
  const element = h("section", { class: "graph-view__panel", tabindex: 0, "aria-label": "The selected node", ...OWN_KEYS });
  let drawnFrom = [];
  function update({ state }) {
    const index = state.graph.nodeIndex.get(state.selected) ?? null;
    const key2 = [state.graph, state.numbers, state.unit, index];
    if (key2.every((item, i) => item === drawnFrom[i])) return;
    drawnFrom = key2;
    element.replaceChildren(...index === null ? [h("p", { class: "graph-view__hint" }, "Click a node: its words, what it reads and what it writes are listed here. Click a second one: the strongest path between the two.")] : parts(state, index));
    element.scrollTop = 0;
  }
  return { element, update };
}
function parts(state, index) {
  const { graph } = state;
  const node = graph.nodes[index];
  const facts = factTexts(state, index).map((words) => h("div", { class: "graph-view__fact" }, words));
  const column = (children) => h("div", { class: "graph-view__part" }, ...children);
  return [
    h("div", { class: "graph-view__heading" }, node.id, h("span", { class: "graph-view__kind" }, ` ${kindText2(state, node)}`)),
    h(
      "div",
      { class: "graph-view__parts" },
      column([...reading("words", node.words), ...facts]),
      ...node.details.length > 0 ? [column(node.details.flatMap(([caption, words]) => reading(caption, words)))] : [],
      ...[listed("receives most from", state, graph.into[index], "source", MOST_LISTED3), listed("gives most to", state, graph.out[index], "target", MOST_LISTED3)].filter((children) => children.length > 0).map(column)
    )
  ];
}
function reading(caption, words) {
  return [
    h("div", { class: "graph-view__caption" }, caption),
    h("div", { class: "graph-view__chips" }, ...words.length === 0 ? ["none"] : words.map((word) => h(
      "span",
      { class: "graph-view__chip" },
      ...tokenParts(word).map(({ text: text2, mark }) => h("span", { class: mark ? "is-mark" : null }, text2))
    )))
  ];
}

// src/graph_view/tokens/boxes.js
var PADDING2 = 7;
function nodeElement3({ state, layout, theme, found }, index, id, pen) {
  const node = state.graph.nodes[index];
  const { x, y, width, height, module } = (
    /** @type {import("./layout.js").Place} */
    layout.places.get(index)
  );
  const group = svg("g", {
    id,
    role: "img",
    "data-node": index,
    "aria-label": node.id,
    transform: `translate(${(x - width / 2).toFixed(1)},${(y - height / 2).toFixed(1)})`,
    class: ["graph-view__node", `is-${node.kind}`, state.roots.includes(node.id) && "is-root", found?.has(index) && "is-found"].filter(Boolean).join(" ")
  });
  group.append(svg("rect", { class: "graph-view__box", width: width.toFixed(1), height, rx: module ? 6 : height / 2 }));
  const room = width - 2 * PADDING2;
  const measure = (text2) => pen.measureText(text2).width;
  const big = module ? 12.5 : 12;
  pen.font = `600 ${big}px ${theme.font}`;
  const first = fitText(node.words.length > 0 ? visibleToken(node.words[0]) : shortName2(node), room, measure);
  const used = measure(first);
  pen.font = `400 10px ${theme.font}`;
  const wanted2 = found?.has(index) ? node.words.slice(1).filter((word) => hasText(word, state.word)) : [];
  const others = [.../* @__PURE__ */ new Set([...wanted2, ...node.words.slice(1, 3)])].slice(0, 2).map(visibleToken);
  if (module) {
    group.append(
      svg("text", { class: "graph-view__first", x: PADDING2, y: 15.5, "font-size": big }, first),
      svg("text", { class: "graph-view__name", x: PADDING2, y: 29 }, fitText(shortName2(node), room, measure))
    );
    const side = whole(others, room - measure(shortName2(node)) - 8, measure);
    if (side) group.append(svg("text", { class: "graph-view__others", x: width - PADDING2, y: 29, "text-anchor": "end" }, side));
  } else {
    const side = whole(others, room - used - 8, measure);
    const written = used + (side ? 8 + measure(side) : 0);
    group.append(svg(
      "g",
      { class: "graph-view__bar", "data-slack": (room - written).toFixed(1) },
      svg("text", { class: "graph-view__first", x: PADDING2, y: height / 2, dy: "0.35em", "font-size": big }, first),
      side ? svg("text", { class: "graph-view__others", x: PADDING2 + used + 8, y: height / 2, dy: "0.35em" }, side) : null
    ));
  }
  return group;
}
function whole(words, room, measure) {
  for (let count = words.length; count > 0; count -= 1) {
    const text2 = words.slice(0, count).join("  ");
    if (measure(text2) <= room) return text2;
  }
  return "";
}

// src/graph_view/tokens/frame.js
var WIDE = 150;
var NARROW = 50;
function layerParts2({ bands, names, height }) {
  return [
    svg("rect", { class: "graph-view__behind", width: LAYER_STRIP2 - 8, height }),
    ...bands.map(({ layer, top, bottom }) => svg("text", {
      class: "graph-view__layer",
      x: 5,
      y: (layer < 0 ? (top + bottom) / 2 : top + 14).toFixed(1),
      dy: "0.35em"
    }, layer < 0 ? "embed" : `L${layer}`)),
    ...names.flatMap(({ lines, y }) => lines.map((line, i) => svg("text", {
      class: "graph-view__row",
      x: LAYER_STRIP2 - 13,
      y: (y + 11 * (i - (lines.length - 1) / 2)).toFixed(1),
      dy: "0.35em"
    }, line)))
  ];
}
function tokenParts2({ layout, state, theme }, pen) {
  pen.font = `600 12px ${theme.font}`;
  return [
    svg("rect", { class: "graph-view__behind", width: layout.width, height: TOKEN_STRIP }),
    ...layout.columns.flatMap(({ token, left, right, empty }) => {
      const text2 = fitText(visibleToken(state.graph.tokens[token]), right - left + 8, (part) => pen.measureText(part).width);
      const x = ((left + right) / 2).toFixed(1);
      return [svg(
        "g",
        { "data-token": token },
        svg("text", { class: empty ? "graph-view__token is-empty" : "graph-view__token", x, y: 16 }, text2),
        svg("text", { class: "graph-view__position", x, y: 30 }, formatRank(token))
      )];
    })
  ];
}
function stripsOf({ layout }, drawn, tokens2) {
  return layout.columns.filter(({ left, right }) => right - left > WIDE).map(({ token, left, right }) => ({
    left,
    right,
    token: tokens2[token],
    bars: [...layout.places.values()].filter((place3) => !place3.module && place3.column === token).map(({ index }) => {
      const text2 = (
        /** @type {Element} */
        drawn.get(index)?.querySelector(".graph-view__bar")
      );
      return { text: text2, slack: Number(text2.getAttribute("data-slack")) };
    })
  }));
}
function slide({ left, right, bars, token }, from, to) {
  const hidden = Math.max(0, from - left);
  for (const { text: text2, slack } of bars) text2.setAttribute("transform", `translate(${Math.min(hidden, slack).toFixed(1)},0)`);
  const [low, high] = [Math.max(left, from), Math.min(right, to)];
  const shift = high - low > NARROW ? (low + high - left - right) / 2 : 0;
  token.setAttribute("transform", `translate(${shift.toFixed(1)},0)`);
}

// src/graph_view/tokens/picture.js
var WIDTH3 = { least: 0.8, most: 6 };
var DASHES = { k: "7 4", q: "2 3" };
var lineWidth3 = (share) => WIDTH3.least + share * (WIDTH3.most - WIDTH3.least);
function picture3(prefix) {
  const ground = svg("g", { class: "graph-view__ground" });
  const edges = svg("g", { class: "graph-view__edges" });
  const raised = svg("g", { class: "graph-view__raised", "aria-hidden": "true" });
  const nodes = svg("g", { class: "graph-view__nodes" });
  const layers = svg("g", { class: "graph-view__layers" });
  const tokens2 = svg("g", { class: "graph-view__tokens" });
  const corner = svg("rect", { class: "graph-view__behind", width: LAYER_STRIP2 - 8, height: TOKEN_STRIP });
  const element = svg("svg", { class: "graph-view__svg" }, ground, edges, raised, nodes, layers, tokens2);
  const pen = (
    /** @type {CanvasRenderingContext2D} */
    document.createElement("canvas").getContext("2d")
  );
  let drawnNodes = /* @__PURE__ */ new Map();
  let strips = [];
  function paint(scene) {
    const { layout, shown } = scene;
    ground.replaceChildren(...groundParts2(layout));
    edges.replaceChildren(...shown.edges.flatMap((edge) => edgeParts(scene, edge, `${prefix}-edge${edge.index}`)));
    drawnNodes = new Map([...layout.places.keys()].map((index) => [index, nodeElement3(scene, index, `${prefix}-node${index}`, pen)]));
    nodes.replaceChildren(...drawnNodes.values());
    layers.replaceChildren(...layerParts2(layout));
    tokens2.replaceChildren(...tokenParts2(scene, pen), corner);
    element.classList.toggle("is-searched", scene.found !== null);
    strips = stripsOf(scene, drawnNodes, [...tokens2.querySelectorAll("[data-token]")]);
  }
  function emphasise(scene, { item, path, selected, other, focus }) {
    const { shown } = scene;
    const way = !item && path ? shown.path : null;
    const bright = way ? way.edges : shown.edges.filter((edge) => item !== null && (item.type === "edge" ? edge.index === item.index : edge.source === item.index || edge.target === item.index));
    const near = /* @__PURE__ */ new Set([...bright.flatMap((edge) => [edge.source, edge.target]), ...item?.type === "node" ? [item.index] : []]);
    element.classList.toggle("is-dimmed", near.size > 0);
    const ringed = focus?.type === "edge" ? scene.routes.get(focus.index) : void 0;
    raised.replaceChildren(
      ...ringed ? [svg("path", { class: "graph-view__ring", d: ringed.path })] : [],
      ...bright.flatMap((edge) => edgeParts(scene, edge, null))
    );
    for (const [index, node] of drawnNodes) {
      node.classList.toggle("is-near", near.has(index));
      node.classList.toggle("is-selected", index === selected);
      node.classList.toggle("is-other", index === other);
      node.classList.toggle("is-focus", focus?.type === "node" && index === focus.index);
    }
  }
  function hold({ height }, { scrollLeft, scrollTop, clientWidth, clientHeight }, zoom2) {
    const foot = Math.min(height, (scrollTop + clientHeight) / zoom2);
    layers.setAttribute("transform", `translate(${(scrollLeft / zoom2).toFixed(1)},0)`);
    tokens2.setAttribute("transform", `translate(0,${(foot - TOKEN_STRIP).toFixed(1)})`);
    corner.setAttribute("x", (scrollLeft / zoom2).toFixed(1));
    layers.classList.toggle("is-held", scrollLeft > 0);
    const [from, to] = [scrollLeft / zoom2 + LAYER_STRIP2 - 4, (scrollLeft + clientWidth) / zoom2];
    for (const strip of strips) slide(strip, from, to);
    tokens2.classList.toggle("is-held", foot < height - 1);
  }
  return { element, paint, emphasise, hold };
}
function groundParts2({ bands, columns, width, height }) {
  return [
    ...bands.map((band, i) => svg("rect", {
      class: i % 2 === 1 ? "graph-view__band is-even" : "graph-view__band",
      x: 0,
      y: band.top.toFixed(1),
      width,
      height: (band.bottom - band.top).toFixed(1)
    })),
    ...columns.slice(1).map(({ left }) => svg("path", { class: "graph-view__border", d: `M${(left - 6).toFixed(1)},0V${height}` }))
  ];
}
function edgeParts({ state, routes, theme }, edge, id) {
  const { positive, negative } = signColors(theme.background);
  const { path, middle } = (
    /** @type {Route} */
    routes.get(edge.index)
  );
  const cut2 = state.cuts.has(edge.id);
  const line = svg("path", {
    id,
    role: id && "img",
    "data-edge": id && edge.index,
    class: cut2 ? "graph-view__line is-cut" : "graph-view__line",
    d: path,
    stroke: edge.weight < 0 ? negative : positive,
    "stroke-width": lineWidth3(edge.share).toFixed(2),
    "stroke-dasharray": cut2 ? "3 4" : DASHES[edge.channel] ?? null
  });
  if (!cut2) return [line];
  return [line, cross(middle, 3.5)];
}

// src/graph_view/tokens/toolbar.js
function toolbar3({ choose, zoom: zoom2 }) {
  const least = slider("Least share drawn", { min: 0, max: 100, step: 1, oninput: () => choose({ threshold: shareOf(Number(least.value)) }) });
  const value = h("span", { class: "graph-view__value" });
  const word = h("input", {
    type: "search",
    class: "graph-view__search",
    placeholder: "word",
    "aria-label": "Bring out the nodes with this word",
    ...OWN_KEYS,
    oninput: () => choose({ word: word.value })
  });
  const matches = h("span", { class: "graph-view__matches" });
  const count = h("span", { class: "graph-view__count" });
  const restore = h("button", { type: "button", class: "graph-view__restore", ...OWN_KEYS, onclick: () => choose({ cut_edges: [] }) });
  const meanings = legend();
  const element = h(
    "div",
    { class: "workbench__tools" },
    field("Edges with a share of at least", least, value),
    field("Bring out", word, matches),
    h("span", { class: "workbench__field" }, h("span", {}, "Size"), h(
      "span",
      { class: "graph-view__zoom", role: "group", "aria-label": "Size of the graph" },
      button("−", "Smaller (−)", () => zoom2("out")),
      button("+", "Larger (+)", () => zoom2("in")),
      button("whole", "The whole graph in its frame, and back (0)", () => zoom2("fit"))
    )),
    count,
    restore,
    meanings.element
  );
  function update({ state, shown, found, theme }) {
    if (Math.abs(shareOf(Number(least.value)) - state.threshold) > 1e-9) least.value = String(stopOf(state.threshold));
    value.textContent = percent(state.threshold);
    const { nodes, edges } = state.graph;
    const words = `${formatRank(shown.nodes.size)} of ${formatRank(nodes.length)} nodes, ${formatRank(shown.edges.length)} of ${formatRank(edges.length)} edges`;
    if (count.textContent !== words) count.textContent = words;
    least.setAttribute("aria-valuetext", `${percent(state.threshold)}: ${words}`);
    if (word.value !== state.word) word.value = state.word;
    matches.textContent = found ? `${formatRank(found.size)} node${found.size === 1 ? "" : "s"}` : "";
    restore.hidden = state.mode !== "edit" || state.cuts.size === 0;
    restore.textContent = `restore ${state.cuts.size === 1 ? "the cut edge" : `${formatRank(state.cuts.size)} cut edges`}`;
    const from = [state.graph, state.mode, [...state.kinds].join(), [...state.channels].join(), theme.background];
    meanings.update(from, () => legendParts3(state, theme, choose));
  }
  return { element, update };
}
var shareOf = (stop) => (stop / 100) ** 2;
var stopOf = (share) => Math.round(100 * Math.sqrt(share));
var KINDS2 = [["heads", ["head"]], ["neurons", ["neuron", "mlp"]]];
function legendParts3(state, theme, choose) {
  const { graph, kinds, channels: channels2 } = state;
  const parts2 = [];
  for (const [name, members] of KINDS2) {
    if (!graph.nodes.some((node) => members.includes(node.kind))) continue;
    const change = (on) => choose({ kinds_shown: [...[...kinds].filter((kind) => !members.includes(kind)), ...on ? members : []] });
    parts2.push(check(name, members.some((kind) => kinds.has(kind)), h("span", { class: `graph-view__swatch is-${members[0]}` }), change));
  }
  for (const channel of ["v", "k", "q"]) {
    if (!graph.edges.some((edge) => edge.channel === channel)) continue;
    const change = (on) => choose({ channels_shown: [...[...channels2].filter((each) => each !== channel), ...on ? [channel] : []] });
    parts2.push(check(`read as ${CHANNEL_NAMES[channel]}`, channels2.has(channel), sample("currentColor", 2, { "stroke-dasharray": DASHES[channel] ?? null }), change));
  }
  const { positive, negative } = signColors(theme.background);
  parts2.push(
    key(sample(positive, 3), "positive"),
    key(sample(negative, 3), "negative"),
    key(sample("currentColor", lineWidth3(0.1)), percent(0.1)),
    key(sample("currentColor", lineWidth3(1)), "100 % share")
  );
  if (state.mode === "edit") parts2.push(key(cutSample(), "cut by a click, or x"));
  return parts2;
}
function check(name, checked, picture4, change) {
  const input = h("input", { type: "checkbox", checked, "data-name": name, ...OWN_KEYS, onchange: () => change(input.checked) });
  return h("label", { class: "graph-view__check" }, input, picture4, name);
}

// src/graph_view/tokens/index.js
var HINT3 = "Point at a node or an edge; click two nodes for the strongest path between them. Arrow keys move, e steps through a node's edges, Enter selects, Shift+Enter the other end, Escape nothing.";
var EDIT_HINT2 = `${HINT3} A click on an edge, or x, cuts it.`;
var describe3 = ({ state, shown }, { type, index }) => type === "edge" ? edgeText3(state, state.graph.edges[index]) : nodeText3(state, shown, index);
var cut = ({ state }, { type, index }) => type === "edge" && state.mode === "edit" ? { cut_edges: toggled(state.cuts, state.graph.edges[index].id) } : null;
var tokens = {
  role: "information",
  traits: TRAITS3,
  read: readState3,
  picture: picture3,
  toolbar: toolbar3,
  below: panel,
  describe: describe3,
  zooms: true,
  // The path lies below what is pointed at: it shows when the pointer has clicked, not only when it leaves.
  letsGo: true,
  scene(state, width, theme) {
    const { graph } = state;
    const shown = shownPart2(state);
    const layout = layOut3(graph.nodes, graph.edges, graph.tokens.length, shown.nodes, width);
    const routes = new Map(shown.edges.map((edge) => [edge.index, routeOf2(layout, edge)]));
    return { state, shown, layout, routes, theme, found: matching(state, shown), width };
  },
  label: ({ state, shown }) => `${state.title || "Information flow"}: ${shown.nodes.size} nodes, ${shown.edges.length} edges drawn. ` + (state.mode === "edit" ? EDIT_HINT2 : HINT3),
  emphasis(scene, { hover, reached }) {
    const { state, shown } = scene;
    const [selected, other] = [state.selected, state.other].map((id) => state.graph.nodeIndex.get(id) ?? null);
    const both = selected !== null && other !== null && selected !== other;
    const pointed = hover ?? (reached?.type === "node" && reached.index === selected && both ? null : reached);
    const item = pointed ?? (selected !== null && shown.path === null ? { type: (
      /** @type {const} */
      "node"
    ), index: selected } : null);
    const hint = state.mode === "edit" ? EDIT_HINT2 : HINT3;
    const words = pointed ? describe3(scene, pointed) : both ? pathText(state, shown.path) : item ? describe3(scene, item) : hint;
    return { marks: { item, path: both, selected, other }, words };
  },
  content: ({ state, shown }, { type, index }) => type === "node" ? nodeContent3(state, shown, index) : edgeContent3(state, state.graph.edges[index]),
  edge: ({ state }, index) => state.graph.edges[index],
  edgesOf: ({ state: { graph }, routes }, node) => [...graph.into[node], ...graph.out[node]].map(({ index }) => index).filter((index) => routes.has(index)),
  start: ({ state: { graph, selected, roots } }) => graph.nodeIndex.get(selected) ?? graph.nodeIndex.get(roots.at(-1) ?? ""),
  clickable: ({ state }, { type }) => type === "node" || state.mode === "edit",
  click(scene, item, shift) {
    if (item?.type === "edge") return cut(scene, item);
    return chosen(scene.state, item ? scene.state.graph.nodes[item.index].id : "", shift);
  },
  key(scene, key2, item, shift) {
    if (key2 === "Escape") return chosen(scene.state, "", false);
    if (key2 === "x" || key2 === "Delete" || key2 === "Backspace") return cut(scene, item);
    if (key2 !== "Enter" && key2 !== " ") return void 0;
    return item.type === "node" ? chosen(scene.state, scene.state.graph.nodes[item.index].id, shift) : null;
  },
  beside: (a, b) => (
    /** @type {import("./layout.js").Place} */
    a.column === /** @type {import("./layout.js").Place} */
    b.column
  )
};

// src/lib/stand_in.js
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.__bytes__ === "string") {
    const text2 = atob(value.__bytes__);
    const bytes = new Uint8Array(text2.length);
    for (let i = 0; i < text2.length; i += 1) bytes[i] = text2.charCodeAt(i);
    return new DataView(bytes.buffer);
  }
  return Object.fromEntries(Object.entries(value).map(([key2, item]) => [key2, revive(item)]));
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
    const known3 = this.listeners.get(event) ?? /* @__PURE__ */ new Set();
    this.listeners.set(event, known3.add(listener));
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

// src/graph_view.js
var LAYOUTS = { components, lanes, tokens };
var REACH = 7;
var ROOM = { left: 70, top: 40, right: 40, bottom: 60 };
var ZOOM = { least: 0.08, most: 2, step: 1.2, first: 0.85 };
var views = 0;
function render({ model, el }) {
  const name = model.get("_layout");
  const of = LAYOUTS[name];
  const shell = view("graph-view", { model, el, role: of.role, traits: of.traits, draw });
  const { scroller, root, choose } = shell;
  const acts = { prefix: `graph-view-${views += 1}`, choose, zoom: (way) => step(way) };
  const drawing = of.picture(acts.prefix);
  const bar = of.toolbar(acts);
  const over = of.over?.(acts, () => scene);
  const below = of.below?.();
  root.classList.add(`is-${name}`);
  scroller.append(h("div", { class: "graph-view__surface" }, drawing.element, ...over?.elements ?? []));
  let scene;
  let drawnFrom = [];
  let origin = null;
  let zoom2 = 1;
  let sized = false;
  const pointable = {
    draw,
    under,
    present,
    placeOf,
    content: (item) => of.content(scene, item),
    start,
    click,
    key: key2,
    reveal,
    placeUnder: (item, event) => item.type === "node" ? placeOf(item) : new DOMRect(event.clientX - 6, event.clientY - 6, 12, 12),
    scrolled: hold
  };
  const pointed = pointing(shell, pointable);
  function draw() {
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
      drawing.element.querySelector(`#${id}`)?.setAttribute("aria-label", of.describe(scene, reached));
      scroller.setAttribute("aria-activedescendant", id);
    } else scroller.removeAttribute("aria-activedescendant");
    shell.say(words);
  }
  function update(width, theme) {
    const old = scene;
    scene = of.scene(of.read(model), width, theme, old);
    const { state, layout } = scene;
    bar.update(scene);
    drawing.paint(scene);
    if (of.zooms && !sized) zoom2 = Math.max(ZOOM.first, Math.min(1, width / layout.width));
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
    const sizes = { viewBox: `0 0 ${width} ${height}`, width: (width * zoom2).toFixed(1), height: (height * zoom2).toFixed(1) };
    for (const [attribute, value] of Object.entries(sizes)) drawing.element.setAttribute(attribute, value);
  }
  function hold() {
    drawing.hold?.(scene.layout, scroller, zoom2);
  }
  function centre() {
    const place3 = scene.layout.places.get(start()?.index ?? -1);
    if (place3) scroller.scrollTo({ left: place3.x * zoom2 - scroller.clientWidth / 2, top: place3.y * zoom2 - scroller.clientHeight / 2, behavior: "instant" });
  }
  function fitting() {
    const { width, height } = scene.layout;
    const room = parseFloat(getComputedStyle(scroller).maxHeight) - 2;
    const whole2 = Math.min(1, scroller.clientWidth / width, (room || height) / height);
    return Math.abs(zoom2 - whole2) < 1e-6 ? 1 : whole2;
  }
  const step = (way) => resize(way === "fit" ? fitting() : zoom2 * (way === "in" ? ZOOM.step : 1 / ZOOM.step));
  function resize(wanted2, at2 = { x: scroller.clientWidth / 2, y: scroller.clientHeight / 2 }) {
    const old = zoom2;
    sized = true;
    zoom2 = Math.min(ZOOM.most, Math.max(ZOOM.least, wanted2));
    const [x, y] = [(scroller.scrollLeft + at2.x) / old, (scroller.scrollTop + at2.y) / old];
    pointed.untell();
    size();
    scroller.scrollTo({ left: x * zoom2 - at2.x, top: y * zoom2 - at2.y, behavior: "instant" });
    hold();
  }
  function present({ type, index }) {
    return type === "node" ? scene.layout.places.has(index) : scene.routes.has(index);
  }
  function start() {
    const { places } = scene.layout;
    const wanted2 = of.start(scene) ?? -1;
    const index = places.has(wanted2) ? wanted2 : places.keys().next().value;
    return index === void 0 ? null : { type: "node", index };
  }
  function placeOf({ type, index }) {
    const { x, y } = drawing.element.getBoundingClientRect();
    if (type === "edge") {
      const { middle } = (
        /** @type {Route} */
        scene.routes.get(index)
      );
      return new DOMRect(x + middle.x * zoom2 - 6, y + middle.y * zoom2 - 6, 12, 12);
    }
    const { left, right, top, bottom } = boxOf(
      /** @type {Place} */
      scene.layout.places.get(index)
    );
    return new DOMRect(x + left * zoom2, y + top * zoom2, (right - left) * zoom2, (bottom - top) * zoom2);
  }
  function under(event) {
    const found = itemUnder(event);
    scroller.style.cursor = found && of.clickable(scene, found) ? "pointer" : "default";
    return found;
  }
  function itemUnder(event) {
    if (event.target instanceof Element && event.target.closest(".graph-view__layers, .graph-view__tokens, button")) return null;
    const box = drawing.element.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.x) / zoom2, (event.clientY - box.y) / zoom2];
    const node = nodeAt(scene.layout, x, y);
    if (node !== null) return { type: "node", index: node };
    const edge = nearestRoute([...scene.routes.values()], x, y, REACH / zoom2);
    return edge < 0 ? null : { type: "edge", index: [...scene.routes.keys()][edge] };
  }
  function click(item, event) {
    origin = item?.type === "node" ? item.index : null;
    const changes = of.click(scene, item, event.shiftKey);
    if (changes) choose(changes);
    pointed.untell();
    if (of.letsGo) pointed.now.hover = null;
  }
  const standing2 = ({ type, index }) => type === "node" ? index : origin ?? of.edge(scene, index).source;
  function stepEdge(focus, by) {
    origin = standing2(focus);
    const own = of.edgesOf(scene, origin);
    const now = focus.type === "edge" ? own.indexOf(focus.index) : by > 0 ? -1 : own.length;
    const next = own[now + by];
    return next === void 0 ? { type: "node", index: origin } : { type: "edge", index: next };
  }
  function key2({ key: pressed, shiftKey }, focus) {
    if (pressed.startsWith("Arrow")) {
      const from = standing2(focus);
      origin = focus.type === "edge" ? from : moveNode(scene.layout, from, pressed, of.beside);
      return { type: "node", index: origin };
    }
    if (pressed.toLowerCase() === "e") return stepEdge(focus, shiftKey ? -1 : 1);
    if (of.zooms && ["+", "-", "0"].includes(pressed)) {
      step(pressed === "0" ? "fit" : pressed === "+" ? "in" : "out");
      return true;
    }
    const changes = of.key(scene, pressed, focus, shiftKey);
    if (changes === void 0) return false;
    if (changes) choose(changes);
    return focus.type === "edge" && pressed !== "Escape" ? focus : true;
  }
  function reveal(item) {
    const at2 = placeOf(item);
    const frame = scroller.getBoundingClientRect();
    const [x, y] = [
      Math.min(0, at2.left - ROOM.left * zoom2 - frame.left) + Math.max(0, at2.right + ROOM.right - frame.right),
      Math.min(0, at2.top - ROOM.top - frame.top) + Math.max(0, at2.bottom + ROOM.bottom * zoom2 - frame.bottom)
    ];
    if (x !== 0 || y !== 0) scroller.scrollBy({ left: x, top: y, behavior: "instant" });
    hold();
  }
  if (of.zooms) {
    scroller.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = scroller.getBoundingClientRect();
      resize(zoom2 * Math.exp(-2e-3 * Math.max(-100, Math.min(100, event.deltaY))), { x: event.clientX - box.x, y: event.clientY - box.y });
    }, { ...shell.listening, passive: false });
  }
  return shell.open([shell.title, bar.element, shell.stage, shell.readout, ...below ? [below.element] : [], shell.tip.element]);
}
var graph_view_default = { render };
export {
  StandInModel,
  graph_view_default as default
};
