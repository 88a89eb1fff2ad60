/* Built by `npm run build` in widgets/; edit the sources there, never this file.
 * sources: build.mjs package-lock.json src/lib/arrays.js src/lib/colors.js src/lib/curves.js src/lib/dom.js src/lib/fit_text.js src/lib/lifecycle.js src/lib/moving.js src/lib/numbers.js src/lib/sign_colors.js src/lib/stand_in.js src/lib/theme.js src/lib/tokens.js src/lib/tooltip.js src/token_flow.js src/token_flow/boxes.js src/token_flow/frame.js src/token_flow/layout.js src/token_flow/panel.js src/token_flow/picture.js src/token_flow/state.js src/token_flow/text.js src/token_flow/tip.js src/token_flow/toolbar.js
 * sources-sha256: d97e3266331edebd32baeb42c705d2aa91868e45ea0a654b9ec8ff35843cb9c1
 * body-sha256: 8f03f1c579f9a4ff41443ac2afef0511e79670141ad93d88bb425eceaab1de14
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
    const mix = (axis) => [a, b, c, d].reduce((sum, point, n) => sum + weights[n] * point[axis], 0);
    return { x: mix("x"), y: mix("y") };
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

// src/lib/moving.js
function moveNode({ places, rows }, from, key, beside = () => true) {
  const start = places.get(from);
  if (!start) return places.keys().next().value ?? from;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const row2 = rows[start.row];
    return row2[row2.indexOf(from) + (key === "ArrowRight" ? 1 : -1)] ?? from;
  }
  const at = (index) => (
    /** @type {Place} */
    places.get(index)
  );
  const step = key === "ArrowUp" ? 1 : -1;
  for (const wanted2 of [(index) => beside(start, at(index)), () => true]) {
    for (let row2 = start.row + step; row2 >= 0 && row2 < rows.length; row2 += step) {
      const found = rows[row2].filter(wanted2);
      if (found.length === 0) continue;
      return found.reduce((a, b) => Math.abs(at(b).x - start.x) < Math.abs(at(a).x - start.x) ? b : a);
    }
  }
  return from;
}

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

// src/lib/tooltip.js
function tooltip(widget) {
  const element = h("div", { class: `${widget}__tooltip`, popover: "manual", role: "tooltip" });
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

// src/token_flow/state.js
var TRAITS = [
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
  "cuts",
  "_tokens",
  "_nodes",
  "_edges",
  "_numbers"
];
var CHANNELS = ["", "q", "k", "v"];
var graphs = /* @__PURE__ */ new WeakMap();
function graphOf(tokens, nodes, encoded) {
  const known2 = graphs.get(encoded);
  if (known2 && known2.nodes === nodes && known2.tokens === tokens) return known2;
  const [source, target, weight, share, code] = [encoded.source, encoded.target, encoded.weight, encoded.share, encoded.channel].map((part) => decodeOnce(part).values);
  const edges = Array.from(weight, (value, index) => {
    const channel = CHANNELS[code[index]];
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
    tokens,
    nodes,
    edges,
    into,
    out,
    nodeIndex: new Map(nodes.map((node, i) => [node.id, i])),
    edgeIndex: new Map(edges.map((edge) => [edge.id, edge.index]))
  };
  graphs.set(encoded, graph);
  return graph;
}
function readState(model) {
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
    cuts: new Set(model.get("cuts")),
    graph: graphOf(model.get("_tokens"), model.get("_nodes"), model.get("_edges")),
    numbers: model.get("_numbers")
  };
}
function numbersOf({ numbers }, index) {
  const [score, relevance, rest] = [numbers.scores, numbers.relevance, numbers.rest].map((array) => decodeOnce(array).values[index]);
  return { score, relevance, rest };
}
var heightOf = ({ layer, row: row2 }) => 4 * layer + row2;
var wanted = ({ kinds }, { kind }) => kind === "embed" || kind === "state" || kinds.has(kind);
function shownPart(state) {
  const { graph, threshold, channels: channels2, cuts, roots } = state;
  const strong = graph.edges.filter((edge) => edge.share >= threshold - 1e-6 && (edge.channel === "" || channels2.has(edge.channel)) && wanted(state, graph.nodes[edge.source]) && wanted(state, graph.nodes[edge.target]));
  const nodes = leading(state, strong, roots.flatMap((id) => graph.nodeIndex.get(id) ?? []));
  const ends = [state.selected, state.other].map((id) => graph.nodeIndex.get(id));
  const path = ends[0] === void 0 || ends[1] === void 0 ? null : strongestPath(graph, ends[1], ends[0], cuts);
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
  const order = [...edges].sort((a, b) => heightOf(nodes[b.target]) - heightOf(nodes[a.target]));
  for (const edge of order) if (found.has(edge.target)) found.add(edge.source);
  return found;
}
var upwards = /* @__PURE__ */ new WeakMap();
function strongestPath(graph, a, b, cuts) {
  const [from, to] = heightOf(graph.nodes[a]) <= heightOf(graph.nodes[b]) ? [a, b] : [b, a];
  if (from === to) return null;
  const order = upwards.get(graph) ?? [...graph.edges].sort((x, y) => heightOf(graph.nodes[x.source]) - heightOf(graph.nodes[y.source]) || x.index - y.index);
  upwards.set(graph, order);
  const best = /* @__PURE__ */ new Map([[from, { product: 1, by: null }]]);
  for (const edge of order) {
    const start = best.get(edge.source);
    if (!start || cuts.has(edge.id)) continue;
    const product = start.product * edge.share;
    const known2 = best.get(edge.target);
    if (product > 0 && (!known2 || product > known2.product)) best.set(edge.target, { product, by: edge });
  }
  const end = best.get(to);
  if (!end) return null;
  const edges = [];
  for (let at = end; at.by; at = /** @type {{product: number, by: Edge | null}} */
  best.get(at.by.source)) edges.unshift(at.by);
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
var toggled = ({ cuts }, id) => cuts.has(id) ? [...cuts].filter((other) => other !== id) : [...cuts, id];

// src/token_flow/layout.js
var STATE_HEIGHT = 22;
var MODULE_HEIGHT = 36;
var LAYER_STRIP = 62;
var TOKEN_STRIP = 38;
var STREAM = 22;
var MODULE_WIDTH = { least: 72, most: 112, scrolled: 82 };
var BESIDE = 12;
var MOST_BESIDE = 4;
var LINE_GAP = 12;
var COLUMN = { least: 74, empty: 34, gap: 12, spare: 70 };
var ABOVE = { state: 16, module: 15, layer: 20 };
var CROSSING = { least: 34, most: 84, each: 2.5 };
var MARGIN = 12;
var TOP = 14;
var ROW_NAMES = ["heads", "mid", "neurons", "post"];
function layOut(nodes, edges, nTokens, shown, room) {
  const whole2 = arrange(nodes, edges, nTokens, new Set(nodes.keys()), room);
  if (whole2.width > room) return arrange(nodes, edges, nTokens, shown, room);
  const places = new Map([...whole2.places].filter(([index]) => shown.has(index)));
  return { ...whole2, places, rows: whole2.rows.map((row2) => row2.filter((index) => shown.has(index))) };
}
function arrange(nodes, edges, nTokens, shown, room) {
  const drawn = [...shown].sort((a, b) => a - b);
  const serial = new Set(nodes.filter((node) => node.row === 1).map((node) => node.layer));
  const level = (node) => node.row === 2 && !serial.has(node.layer) ? heightOf(node) - 2 : heightOf(node);
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
    const pitch = moduleWidth + BESIDE;
    const first = left + STREAM + Math.max(0, (right - left - STREAM - across(cell.length) * pitch + BESIDE) / 2);
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
  const needs = (each) => modules.map((count, i) => empty[i] ? COLUMN.empty : Math.max(COLUMN.least, count && STREAM + count * (each + BESIDE) - BESIDE));
  const total = (widths2) => LAYER_STRIP + MARGIN + widths2.reduce((sum, each) => sum + each + COLUMN.gap, -COLUMN.gap);
  let moduleWidth = MODULE_WIDTH.most;
  while (moduleWidth > MODULE_WIDTH.least && total(needs(moduleWidth)) > room) moduleWidth -= 2;
  if (total(needs(moduleWidth)) > room) moduleWidth = MODULE_WIDTH.scrolled;
  const widths = needs(moduleWidth);
  const spare = Math.min(COLUMN.spare, Math.max(0, room - total(widths)) / widths.length);
  let left = LAYER_STRIP;
  const columns = widths.map((each, token) => {
    const right = left + each + spare;
    const column = { token, left, right, empty: empty[token] };
    left = right + COLUMN.gap;
    return column;
  });
  return { columns, moduleWidth, width: Math.max(room, left - COLUMN.gap + MARGIN) };
}
function upwardsOf(nodes, edges, rows, rowOf, lines) {
  const crossing = rows.map(() => 0);
  for (const { source, target } of edges) {
    const [from, to] = [rowOf.get(source), rowOf.get(target)];
    if (from !== void 0 && to !== void 0 && nodes[source].column !== nodes[target].column) crossing[to] += 1;
  }
  let y = TOKEN_STRIP + MARGIN / 2;
  const heights = rows.map((row2, number2) => {
    const module = isModule(nodes[row2[0]]);
    const below = number2 === 0 ? 0 : crossing[number2] > 0 ? Math.min(CROSSING.most, CROSSING.least + CROSSING.each * crossing[number2]) : nodes[row2[0]].layer !== nodes[rows[number2 - 1][0]].layer ? ABOVE.layer : module ? ABOVE.state : ABOVE.module;
    const size = module ? lines[number2] * (MODULE_HEIGHT + LINE_GAP) - LINE_GAP : STATE_HEIGHT;
    y += below + size;
    return { layer: nodes[row2[0]].layer, middle: y - size / 2, bottom: y - size - below, top: y };
  });
  const height = y + TOP;
  const bands = /* @__PURE__ */ new Map();
  for (const { layer, bottom, top } of heights) {
    const known2 = bands.get(layer);
    bands.set(layer, { layer, top: height - top - 4, bottom: known2 ? known2.bottom : height - bottom - 4 });
  }
  return { middles: heights.map(({ middle }) => height - middle), height, bands: [...bands.values()] };
}
var BEND = 12;
function routeOf({ places }, { source, target, channel }) {
  const [from, to] = [source, target].map((index) => (
    /** @type {Place} */
    places.get(index)
  ));
  const [y0, y1] = [from.y - from.height / 2, to.y + to.height / 2];
  if (!from.module && !to.module) {
    const x = (place3) => place3.x - place3.width / 2 + STREAM / 2;
    return upright({ x: x(from), y: y0 }, { x: x(to), y: y1 }, BEND);
  }
  const port = to.module ? to.x + PORTS[channel] * to.width : within(to, from.x);
  const start = from.module ? from.x : from.column === to.column ? within(from, port) : from.x + from.width / 2 - 8;
  return upright({ x: start, y: y0 }, { x: port, y: y1 }, BEND);
}
var PORTS = { "": 0, q: -0.3, k: 0, v: 0.3 };
var within = (bar, x) => Math.min(bar.x + bar.width / 2 - 6, Math.max(bar.x - bar.width / 2 + 6, x));
function nodeAt({ places }, x, y) {
  for (const place3 of places.values()) {
    if (Math.abs(x - place3.x) <= place3.width / 2 && Math.abs(y - place3.y) <= place3.height / 2) return place3.index;
  }
  return null;
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

// src/token_flow/text.js
var CHANNEL_NAMES = (
  /** @type {Record<string, string>} */
  { v: "value", k: "key", q: "query" }
);
var LONGEST_PATH = 9;
var signed = (value) => (value > 0 ? "+" : "") + formatNumber(value, 3);
var withUnit = ({ unit }, value) => signed(value) + (unit ? ` ${unit}` : "");
var percent = (share) => `${formatNumber(100 * share, share > 0 && share < 0.0995 ? 1 : 0)} %`;
var quoted = (word) => `“${visibleToken(word)}”`;
var place2 = ({ graph }, column) => `${quoted(graph.tokens[column])} (${column})`;
function shortName({ id, kind }) {
  const found = kind === "head" ? /^L\d+(H\d+)/.exec(id) : kind === "neuron" ? /\/(\w+)@/.exec(id) : null;
  if (found) return found[1];
  return kind === "mlp" ? "MLP" : id.replace(/@\d+$/, "");
}
function kindText(state, node) {
  const name = shortName(node);
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
function edgeName({ graph }, { source, target, channel }) {
  const read = channel ? `${CHANNEL_NAMES[channel]} of ` : "";
  return `${graph.nodes[source].id} → ${read}${graph.nodes[target].id}`;
}
function edgeText(state, edge) {
  const [from, to] = [edge.source, edge.target].map((index) => state.graph.nodes[index]);
  const heads = [from, to].map((node) => node.words.length > 0 ? quoted(node.words[0]) : "no words");
  const cut = state.cuts.has(edge.id) ? "; cut" : "";
  return `${edgeName(state, edge)} (${heads.join(" → ")}): weight ${withUnit(state, edge.weight)}; ${percent(edge.share)} of what ${to.id} receives${cut}`;
}
function receivedText(state, shown, index) {
  if (state.graph.into[index].length === 0) return "";
  const drawn = shown.edges.filter((edge) => edge.target === index);
  const { rest } = numbersOf(state, index);
  const total = drawn.reduce((sum, edge) => sum + edge.share, 0);
  const edges = `${formatRank(drawn.length)} drawn edge${drawn.length === 1 ? " brings" : "s bring"} ${percent(total)} of what it receives`;
  return Number.isNaN(rest) ? edges : `${edges}, ${percent(rest)} comes from what the graph leaves out`;
}
function factTexts(state, index) {
  const { score, relevance } = numbersOf(state, index);
  return [
    ...Number.isNaN(score) ? [] : [`contributes ${withUnit(state, score)}`],
    ...Number.isNaN(relevance) ? [] : [`${percent(relevance)} of the flow passes it`]
  ];
}
function nodeText(state, shown, index) {
  const node = state.graph.nodes[index];
  const parts2 = [`${node.id}: ${kindText(state, node)}`];
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
    if (first) parts2.push(`${name} ${state.graph.nodes[first[end]].id} (${signed(first.weight)}, ${percent(first.share)})`);
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
  if (steps.length > LONGEST_PATH) steps.splice(5, steps.length - LONGEST_PATH, " → …");
  const first = graph.nodes[path.nodes[0]];
  const start = `${first.id}${first.words.length > 0 ? ` ${quoted(first.words[0])}` : ""}`;
  return `Strongest path, ${percent(path.product)} as the product of its ${path.edges.length} shares: ${start}${steps.join("")}`;
}

// src/token_flow/tip.js
var MOST_LISTED = 3;
function nodeContent(state, shown, index) {
  const { graph } = state;
  const node = graph.nodes[index];
  const received = receivedText(state, shown, index);
  return [
    h("div", { class: "token-flow__place" }, node.id),
    h("div", { class: "token-flow__kind" }, kindText(state, node)),
    h("div", { class: "token-flow__words" }, node.words.length > 0 ? wordsText(node) : "no words"),
    ...factTexts(state, index).map((words) => h("div", { class: "token-flow__fact" }, words)),
    ...listed("receives most from", state, graph.into[index], "source", MOST_LISTED),
    ...listed("gives most to", state, graph.out[index], "target", MOST_LISTED),
    ...received ? [h("div", { class: "token-flow__note" }, `Its ${received}.`)] : []
  ];
}
function edgeContent(state, edge) {
  const [from, to] = [edge.source, edge.target].map((index) => state.graph.nodes[index]);
  const named2 = (node) => wordsText(node, 3) || "no words";
  return [
    h("div", { class: "token-flow__place" }, `${from.id} → ${to.id}`),
    table([
      row("from", named2(from), ""),
      row("to", named2(to), ""),
      ...edge.channel ? [row("read as", CHANNEL_NAMES[edge.channel], "")] : [],
      row("weight", withUnit(state, edge.weight), ""),
      row("share", percent(edge.share), "of what the upper one receives"),
      ...state.cuts.has(edge.id) ? [row("cut", "yes", "")] : []
    ])
  ];
}
function listed(caption, state, edges, end, most) {
  if (edges.length === 0) return [];
  const more = edges.length > most ? ` (${most} of ${edges.length})` : "";
  return [
    h("div", { class: "token-flow__caption" }, caption + more),
    table(edges.slice(0, most).map((edge) => {
      const node = state.graph.nodes[edge[end]];
      const name = node.id + (edge.channel ? ` (${CHANNEL_NAMES[edge.channel]})` : "");
      return row(name, node.words.length > 0 ? quoted(node.words[0]) : "", `${signed(edge.weight)} · ${percent(edge.share)}`);
    }))
  ];
}
var table = (rows) => h("table", {}, h("tbody", {}, ...rows));
var row = (name, value, more) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value), h("td", { class: "token-flow__more" }, more));

// src/token_flow/panel.js
var MOST_LISTED2 = 8;
function panel() {
  const element = h("section", { class: "token-flow__panel", tabindex: 0, "aria-label": "The selected node", ...OWN_KEYS });
  let drawnFrom = [];
  function update(state, index) {
    const key = [state.graph, state.numbers, state.unit, index];
    if (key.every((item, i) => item === drawnFrom[i])) return;
    drawnFrom = key;
    element.replaceChildren(...index === null ? [h("p", { class: "token-flow__hint" }, "Click a node: its words, what it reads and what it writes are listed here. Click a second one: the strongest path between the two.")] : parts(state, index));
    element.scrollTop = 0;
  }
  return { element, update };
}
function parts(state, index) {
  const { graph } = state;
  const node = graph.nodes[index];
  const facts = factTexts(state, index).map((words) => h("div", { class: "token-flow__fact" }, words));
  const column = (children) => h("div", { class: "token-flow__part" }, ...children);
  return [
    h("div", { class: "token-flow__heading" }, node.id, h("span", { class: "token-flow__kind" }, ` ${kindText(state, node)}`)),
    h(
      "div",
      { class: "token-flow__parts" },
      column([...reading("words", node.words), ...facts]),
      ...node.details.length > 0 ? [column(node.details.flatMap(([caption, words]) => reading(caption, words)))] : [],
      ...[listed("receives most from", state, graph.into[index], "source", MOST_LISTED2), listed("gives most to", state, graph.out[index], "target", MOST_LISTED2)].filter((children) => children.length > 0).map(column)
    )
  ];
}
function reading(caption, words) {
  return [
    h("div", { class: "token-flow__caption" }, caption),
    h("div", { class: "token-flow__chips" }, ...words.length === 0 ? ["none"] : words.map((word) => h(
      "span",
      { class: "token-flow__chip" },
      ...tokenParts(word).map(({ text: text2, mark }) => h("span", { class: mark ? "is-mark" : null }, text2))
    )))
  ];
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

// src/lib/fit_text.js
function fitText(text2, width, measure) {
  if (measure(text2) <= width) return text2;
  const characters = Array.from(text2.slice(0, 200));
  let count = characters.length;
  while (count > 1 && measure(`${characters.slice(0, count).join("").trimEnd()}…`) > width) count -= 1;
  return `${characters.slice(0, count).join("").trimEnd()}…`;
}

// src/token_flow/boxes.js
var PADDING = 7;
function nodeElement({ state, layout, theme, found }, index, id, pen) {
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
    class: ["token-flow__node", `is-${node.kind}`, state.roots.includes(node.id) && "is-root", found?.has(index) && "is-found"].filter(Boolean).join(" ")
  });
  group.append(svg("rect", { class: "token-flow__box", width: width.toFixed(1), height, rx: module ? 6 : height / 2 }));
  const room = width - 2 * PADDING;
  const measure = (text2) => pen.measureText(text2).width;
  const big = module ? 12.5 : 12;
  pen.font = `600 ${big}px ${theme.font}`;
  const first = fitText(node.words.length > 0 ? visibleToken(node.words[0]) : shortName(node), room, measure);
  const used = measure(first);
  pen.font = `400 10px ${theme.font}`;
  const wanted2 = found?.has(index) ? node.words.slice(1).filter((word) => hasText(word, state.word)) : [];
  const others = [.../* @__PURE__ */ new Set([...wanted2, ...node.words.slice(1, 3)])].slice(0, 2).map(visibleToken);
  if (module) {
    group.append(
      svg("text", { class: "token-flow__first", x: PADDING, y: 15.5, "font-size": big }, first),
      svg("text", { class: "token-flow__name", x: PADDING, y: 29 }, fitText(shortName(node), room, measure))
    );
    const side = whole(others, room - measure(shortName(node)) - 8, measure);
    if (side) group.append(svg("text", { class: "token-flow__others", x: width - PADDING, y: 29, "text-anchor": "end" }, side));
  } else {
    const side = whole(others, room - used - 8, measure);
    const written = used + (side ? 8 + measure(side) : 0);
    group.append(svg(
      "g",
      { class: "token-flow__bar", "data-slack": (room - written).toFixed(1) },
      svg("text", { class: "token-flow__first", x: PADDING, y: height / 2, dy: "0.35em", "font-size": big }, first),
      side ? svg("text", { class: "token-flow__others", x: PADDING + used + 8, y: height / 2, dy: "0.35em" }, side) : null
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

// src/token_flow/frame.js
var WIDE = 150;
var NARROW = 50;
function layerParts({ bands, names, height }) {
  return [
    svg("rect", { class: "token-flow__behind", width: LAYER_STRIP - 8, height }),
    ...bands.map(({ layer, top, bottom }) => svg("text", {
      class: "token-flow__layer",
      x: 5,
      y: (layer < 0 ? (top + bottom) / 2 : top + 14).toFixed(1),
      dy: "0.35em"
    }, layer < 0 ? "embed" : `L${layer}`)),
    ...names.flatMap(({ lines, y }) => lines.map((line, i) => svg("text", {
      class: "token-flow__row",
      x: LAYER_STRIP - 13,
      y: (y + 11 * (i - (lines.length - 1) / 2)).toFixed(1),
      dy: "0.35em"
    }, line)))
  ];
}
function tokenParts2({ layout, state, theme }, pen) {
  pen.font = `600 12px ${theme.font}`;
  return [
    svg("rect", { class: "token-flow__behind", width: layout.width, height: TOKEN_STRIP }),
    ...layout.columns.flatMap(({ token, left, right, empty }) => {
      const text2 = fitText(visibleToken(state.graph.tokens[token]), right - left + 8, (part) => pen.measureText(part).width);
      const x = ((left + right) / 2).toFixed(1);
      return [svg(
        "g",
        { "data-token": token },
        svg("text", { class: empty ? "token-flow__token is-empty" : "token-flow__token", x, y: 16 }, text2),
        svg("text", { class: "token-flow__position", x, y: 30 }, formatRank(token))
      )];
    })
  ];
}
function stripsOf({ layout }, drawn, tokens) {
  return layout.columns.filter(({ left, right }) => right - left > WIDE).map(({ token, left, right }) => ({
    left,
    right,
    token: tokens[token],
    bars: [...layout.places.values()].filter((place3) => !place3.module && place3.column === token).map(({ index }) => {
      const text2 = (
        /** @type {Element} */
        drawn.get(index)?.querySelector(".token-flow__bar")
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

// src/token_flow/picture.js
var WIDTH = { least: 0.8, most: 6 };
var CROSS = "M-3.5,-3.5L3.5,3.5M-3.5,3.5L3.5,-3.5";
var DASHES = { k: "7 4", q: "2 3" };
var lineWidth = (share) => WIDTH.least + share * (WIDTH.most - WIDTH.least);
function picture(prefix) {
  const ground = svg("g", { class: "token-flow__ground" });
  const edges = svg("g", { class: "token-flow__edges" });
  const raised = svg("g", { class: "token-flow__raised", "aria-hidden": "true" });
  const nodes = svg("g", { class: "token-flow__nodes" });
  const layers = svg("g", { class: "token-flow__layers" });
  const tokens = svg("g", { class: "token-flow__tokens" });
  const corner = svg("rect", { class: "token-flow__behind", width: LAYER_STRIP - 8, height: TOKEN_STRIP });
  const element = svg("svg", { class: "token-flow__svg" }, ground, edges, raised, nodes, layers, tokens);
  const pen = (
    /** @type {CanvasRenderingContext2D} */
    document.createElement("canvas").getContext("2d")
  );
  let drawnNodes = /* @__PURE__ */ new Map();
  let strips = [];
  function paint(scene) {
    const { layout, shown } = scene;
    element.setAttribute("viewBox", `0 0 ${layout.width} ${layout.height}`);
    ground.replaceChildren(...groundParts(layout));
    edges.replaceChildren(...shown.edges.flatMap((edge) => edgeParts(scene, edge, `${prefix}-edge${edge.index}`)));
    drawnNodes = new Map([...layout.places.keys()].map((index) => [index, nodeElement(scene, index, `${prefix}-node${index}`, pen)]));
    nodes.replaceChildren(...drawnNodes.values());
    layers.replaceChildren(...layerParts(layout));
    tokens.replaceChildren(...tokenParts2(scene, pen), corner);
    element.classList.toggle("is-searched", scene.found !== null);
    strips = stripsOf(scene, drawnNodes, [...tokens.querySelectorAll("[data-token]")]);
  }
  function emphasise(scene, { item, path, selected, other, focus }) {
    const { shown } = scene;
    const way = !item && path ? shown.path : null;
    const bright = way ? way.edges : shown.edges.filter((edge) => item !== null && (item.type === "edge" ? edge.index === item.index : edge.source === item.index || edge.target === item.index));
    const near = /* @__PURE__ */ new Set([...bright.flatMap((edge) => [edge.source, edge.target]), ...item?.type === "node" ? [item.index] : []]);
    element.classList.toggle("is-dimmed", near.size > 0);
    const ringed = focus?.type === "edge" ? scene.routes.get(focus.index) : void 0;
    raised.replaceChildren(
      ...ringed ? [svg("path", { class: "token-flow__ring", d: ringed.path })] : [],
      ...bright.flatMap((edge) => edgeParts(scene, edge, null))
    );
    for (const [index, node] of drawnNodes) {
      node.classList.toggle("is-near", near.has(index));
      node.classList.toggle("is-selected", index === selected);
      node.classList.toggle("is-other", index === other);
      node.classList.toggle("is-focus", focus?.type === "node" && index === focus.index);
    }
  }
  function resize({ width, height }, zoom2) {
    for (const [name2, value] of Object.entries({ width, height })) element.setAttribute(name2, (value * zoom2).toFixed(1));
  }
  function hold({ height }, { scrollLeft, scrollTop, clientWidth, clientHeight }, zoom2) {
    const foot = Math.min(height, (scrollTop + clientHeight) / zoom2);
    layers.setAttribute("transform", `translate(${(scrollLeft / zoom2).toFixed(1)},0)`);
    tokens.setAttribute("transform", `translate(0,${(foot - TOKEN_STRIP).toFixed(1)})`);
    corner.setAttribute("x", (scrollLeft / zoom2).toFixed(1));
    layers.classList.toggle("is-held", scrollLeft > 0);
    const [from, to] = [scrollLeft / zoom2 + LAYER_STRIP - 4, (scrollLeft + clientWidth) / zoom2];
    for (const strip of strips) slide(strip, from, to);
    tokens.classList.toggle("is-held", foot < height - 1);
  }
  function name({ type, index }, words) {
    const id = `${prefix}-${type}${index}`;
    element.querySelector(`#${id}`)?.setAttribute("aria-label", words);
    return id;
  }
  return { element, paint, emphasise, resize, hold, name };
}
function groundParts({ bands, columns, width, height }) {
  return [
    ...bands.map((band, i) => svg("rect", {
      class: i % 2 === 1 ? "token-flow__band is-even" : "token-flow__band",
      x: 0,
      y: band.top.toFixed(1),
      width,
      height: (band.bottom - band.top).toFixed(1)
    })),
    ...columns.slice(1).map(({ left }) => svg("path", { class: "token-flow__border", d: `M${(left - 6).toFixed(1)},0V${height}` }))
  ];
}
function edgeParts({ state, routes, theme }, edge, id) {
  const { positive, negative } = signColors(theme.background);
  const { path, middle } = (
    /** @type {Route} */
    routes.get(edge.index)
  );
  const cut = state.cuts.has(edge.id);
  const line = svg("path", {
    id,
    role: id && "img",
    "data-edge": id && edge.index,
    class: cut ? "token-flow__line is-cut" : "token-flow__line",
    d: path,
    stroke: edge.weight < 0 ? negative : positive,
    "stroke-width": lineWidth(edge.share).toFixed(2),
    "stroke-dasharray": cut ? "3 4" : DASHES[edge.channel] ?? null
  });
  if (!cut) return [line];
  const place3 = `translate(${middle.x.toFixed(1)},${middle.y.toFixed(1)})`;
  return [line, svg("g", { class: "token-flow__cross", transform: place3 }, svg("circle", { r: 6.5 }), svg("path", { d: CROSS }))];
}

// src/token_flow/toolbar.js
function toolbar(choose, zoom2) {
  let legendOf = [];
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 100,
    step: 1,
    class: "token-flow__slider",
    "aria-label": "Least share drawn",
    ...OWN_KEYS,
    oninput: () => choose({ threshold: shareOf(Number(slider.value)) })
  });
  const value = h("span", { class: "token-flow__value" });
  const word = h("input", {
    type: "search",
    class: "token-flow__search",
    placeholder: "word",
    "aria-label": "Bring out the nodes with this word",
    ...OWN_KEYS,
    oninput: () => choose({ word: word.value })
  });
  const matches = h("span", { class: "token-flow__matches" });
  const count = h("span", { class: "token-flow__count" });
  const restore = h("button", { type: "button", class: "token-flow__restore", ...OWN_KEYS, onclick: () => choose({ cuts: [] }) });
  const legend = h("div", { class: "token-flow__legend" });
  const element = h(
    "div",
    { class: "token-flow__tools" },
    h("label", { class: "token-flow__field" }, h("span", {}, "Edges with a share of at least"), h("span", { class: "token-flow__range" }, slider, value)),
    h("label", { class: "token-flow__field" }, h("span", {}, "Bring out"), h("span", { class: "token-flow__range" }, word, matches)),
    h("span", { class: "token-flow__field" }, h("span", {}, "Size"), h(
      "span",
      { class: "token-flow__zoom", role: "group", "aria-label": "Size of the graph" },
      button("−", "Smaller (−)", () => zoom2("out")),
      button("+", "Larger (+)", () => zoom2("in")),
      button("whole", "The whole graph in its frame, and back (0)", () => zoom2("fit"))
    )),
    count,
    restore,
    legend
  );
  function update(state, shown, found, theme) {
    if (Math.abs(shareOf(Number(slider.value)) - state.threshold) > 1e-9) slider.value = String(stopOf(state.threshold));
    value.textContent = percent(state.threshold);
    const { nodes, edges } = state.graph;
    const words = `${formatRank(shown.nodes.size)} of ${formatRank(nodes.length)} nodes, ${formatRank(shown.edges.length)} of ${formatRank(edges.length)} edges`;
    if (count.textContent !== words) count.textContent = words;
    slider.setAttribute("aria-valuetext", `${percent(state.threshold)}: ${words}`);
    if (word.value !== state.word) word.value = state.word;
    matches.textContent = found ? `${formatRank(found.size)} node${found.size === 1 ? "" : "s"}` : "";
    restore.hidden = state.mode !== "edit" || state.cuts.size === 0;
    restore.textContent = `restore ${state.cuts.size === 1 ? "the cut edge" : `${formatRank(state.cuts.size)} cut edges`}`;
    const key = [state.graph, state.mode, [...state.kinds].join(), [...state.channels].join(), theme.background];
    if (key.some((item, i) => item !== legendOf[i])) {
      const root = (
        /** @type {Document | ShadowRoot} */
        element.getRootNode()
      );
      const active = (
        /** @type {HTMLElement | null} */
        root.activeElement?.dataset?.name
      );
      legend.replaceChildren(...legendParts(state, theme, choose));
      if (active) legend.querySelector(`[data-name="${active}"]`)?.focus();
    }
    legendOf = key;
  }
  return { element, update };
}
var shareOf = (stop) => (stop / 100) ** 2;
var stopOf = (share) => Math.round(100 * Math.sqrt(share));
var KINDS = [["heads", ["head"]], ["neurons", ["neuron", "mlp"]]];
function legendParts(state, theme, choose) {
  const { graph, kinds, channels: channels2 } = state;
  const parts2 = [];
  for (const [name, members] of KINDS) {
    if (!graph.nodes.some((node) => members.includes(node.kind))) continue;
    const change = (on) => choose({ kinds_shown: [...[...kinds].filter((kind) => !members.includes(kind)), ...on ? members : []] });
    parts2.push(check(name, members.some((kind) => kinds.has(kind)), h("span", { class: `token-flow__swatch is-${members[0]}` }), change));
  }
  for (const channel of ["v", "k", "q"]) {
    if (!graph.edges.some((edge) => edge.channel === channel)) continue;
    const change = (on) => choose({ channels_shown: [...[...channels2].filter((each) => each !== channel), ...on ? [channel] : []] });
    parts2.push(check(`read as ${CHANNEL_NAMES[channel]}`, channels2.has(channel), sample("currentColor", 2, { "stroke-dasharray": DASHES[channel] ?? null }), change));
  }
  const { positive, negative } = signColors(theme.background);
  parts2.push(
    entry(sample(positive, 3), "positive"),
    entry(sample(negative, 3), "negative"),
    entry(sample("currentColor", lineWidth(0.1)), percent(0.1)),
    entry(sample("currentColor", lineWidth(1)), "100 % share")
  );
  if (state.mode === "edit") {
    const cut = svg(
      "svg",
      { width: 26, height: 12, "aria-hidden": "true" },
      svg("path", { d: "M0,6H26", stroke: "currentColor", "stroke-width": 1.5, "stroke-dasharray": "3 3", fill: "none" }),
      svg("path", { d: "M9,2L17,10M9,10L17,2", stroke: "currentColor", "stroke-width": 1.8, fill: "none" })
    );
    parts2.push(entry(cut, "cut by a click, or x"));
  }
  return parts2;
}
function check(name, checked, picture2, change) {
  const input = h("input", { type: "checkbox", checked, "data-name": name, ...OWN_KEYS, onchange: () => change(input.checked) });
  return h("label", { class: "token-flow__check" }, input, picture2, name);
}
var entry = (picture2, words) => h("span", { class: "token-flow__key" }, picture2, words);
var sample = (color2, width, more = {}) => svg(
  "svg",
  { width: 26, height: 12, "aria-hidden": "true" },
  svg("path", { d: "M1,6H25", stroke: color2, "stroke-width": width.toFixed(2), fill: "none", ...more })
);
var button = (text2, words, onclick) => h("button", { type: "button", title: words, "aria-label": words, ...OWN_KEYS, onclick }, text2);

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

// src/token_flow.js
var REACH = 6;
var ZOOM = { least: 0.08, most: 2, step: 1.2, first: 0.85 };
var HINT = "Point at a node or an edge; click two nodes for the strongest path between them. Arrow keys move, e steps through a node's edges, Enter selects, Shift+Enter the other end, Escape nothing.";
var EDIT_HINT = `${HINT} A click on an edge, or x, cuts it.`;
var views = 0;
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const drawing = picture(`token-flow-${views += 1}`);
  const title = h("div", { class: "token-flow__title" });
  const bar = toolbar(choose, (way) => resize(way === "fit" ? fitting() : zoom2 * (way === "in" ? ZOOM.step : 1 / ZOOM.step)));
  const scroller = h("div", {
    class: "token-flow__scroll",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "information flow",
    ...OWN_KEYS
  }, drawing.element);
  const status = h("div", { class: "token-flow__status", role: "status" });
  const stage = h("div", { class: "token-flow__stage" }, scroller, status);
  const readout = h("p", { class: "token-flow__readout", "aria-live": "polite" });
  const details = panel();
  const tip = tooltip("token-flow");
  const root = h("div", { class: "workbench-widget token-flow" }, title, bar.element, stage, readout, details.element, tip.element);
  el.append(root);
  const frame = frameScheduler(draw);
  let zoom2 = 1;
  let sized = false;
  let scene;
  let drawnFrom = [];
  let hover = null;
  let focus = null;
  let origin = null;
  let told = null;
  let byKey = false;
  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  }
  function draw() {
    const width = scroller.clientWidth;
    if (width <= 0) return;
    const theme = themeOf(root);
    const key = [...TRAITS.map((name) => model.get(name)), width, theme.background, theme.font];
    if (key.some((item2, i) => item2 !== drawnFrom[i])) {
      drawnFrom = key;
      update(width, theme);
    }
    hover = present(hover);
    focus = present(focus);
    const { state, shown } = scene;
    const reached = byKey && hasFocus() ? focus : null;
    const [selected, other] = [state.selected, state.other].map((id) => state.graph.nodeIndex.get(id) ?? null);
    const both = selected !== null && other !== null && selected !== other;
    const pointed = hover ?? (reached?.type === "node" && reached.index === selected && both ? null : reached);
    const item = pointed ?? (selected !== null && shown.path === null ? { type: (
      /** @type {const} */
      "node"
    ), index: selected } : null);
    drawing.emphasise(scene, { item, path: both, selected, other, focus: reached });
    if (reached) scroller.setAttribute("aria-activedescendant", drawing.name(reached, describe(reached)));
    else scroller.removeAttribute("aria-activedescendant");
    const words = pointed ? describe(pointed) : both ? pathText(state, shown.path) : item ? describe(item) : state.mode === "edit" ? EDIT_HINT : HINT;
    if (readout.textContent !== words) readout.textContent = words;
  }
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
    if (!sized) zoom2 = Math.max(ZOOM.first, Math.min(1, width / layout.width));
    drawing.resize(layout, zoom2);
    if (!old || old.state.graph !== graph || old.width !== width) centre();
    drawing.hold(layout, scroller, zoom2);
    details.update(state, graph.nodeIndex.get(state.selected) ?? null);
    if (told && present(told.item)) tell(told.item, told.at);
    else untell();
    status.textContent = state.status;
    stage.classList.toggle("is-stale", state.status !== "");
    stage.classList.toggle("is-error", state.status.startsWith("error"));
    root.classList.toggle("is-editing", state.mode === "edit");
    scroller.setAttribute("aria-label", `${state.title || "Information flow"}: ${shown.nodes.size} nodes, ${shown.edges.length} edges drawn. ` + (state.mode === "edit" ? EDIT_HINT : HINT));
  }
  function centre() {
    const place3 = scene.layout.places.get(start() ?? -1);
    if (place3) scroller.scrollTo({ left: place3.x * zoom2 - scroller.clientWidth / 2, top: place3.y * zoom2 - scroller.clientHeight / 2, behavior: "instant" });
  }
  function fitting() {
    const { width, height } = scene.layout;
    const room = parseFloat(getComputedStyle(scroller).maxHeight) - 2;
    const whole2 = Math.min(1, scroller.clientWidth / width, (room || height) / height);
    return Math.abs(zoom2 - whole2) < 1e-6 ? 1 : whole2;
  }
  function resize(wanted2, at = { x: scroller.clientWidth / 2, y: scroller.clientHeight / 2 }) {
    const old = zoom2;
    sized = true;
    zoom2 = Math.min(ZOOM.most, Math.max(ZOOM.least, wanted2));
    const [x, y] = [(scroller.scrollLeft + at.x) / old, (scroller.scrollTop + at.y) / old];
    untell();
    drawing.resize(scene.layout, zoom2);
    scroller.scrollTo({ left: x * zoom2 - at.x, top: y * zoom2 - at.y, behavior: "instant" });
    drawing.hold(scene.layout, scroller, zoom2);
  }
  const describe = ({ type, index }) => type === "edge" ? edgeText(scene.state, scene.state.graph.edges[index]) : nodeText(scene.state, scene.shown, index);
  function present(item) {
    if (!item) return null;
    return (item.type === "node" ? scene.layout.places.has(item.index) : scene.routes.has(item.index)) ? item : null;
  }
  function hasFocus() {
    return (
      /** @type {Document | ShadowRoot} */
      root.getRootNode().activeElement === scroller
    );
  }
  function start() {
    const { graph, selected, roots } = scene.state;
    const first = graph.nodeIndex.get(selected) ?? graph.nodeIndex.get(roots.at(-1) ?? "") ?? -1;
    return scene.layout.places.has(first) ? first : scene.layout.places.keys().next().value ?? null;
  }
  function placeOf({ type, index }) {
    const { x: left, y: top } = drawing.element.getBoundingClientRect();
    if (type === "edge") {
      const { x: x2, y: y2 } = (
        /** @type {import("./lib/curves.js").Route} */
        scene.routes.get(index).middle
      );
      return new DOMRect(left + x2 * zoom2 - 6, top + y2 * zoom2 - 6, 12, 12);
    }
    const { x, y, width, height } = (
      /** @type {Place} */
      scene.layout.places.get(index)
    );
    return new DOMRect(left + (x - width / 2) * zoom2, top + (y - height / 2) * zoom2, width * zoom2, height * zoom2);
  }
  function tell(item, at) {
    told = { item, at };
    const { state, shown } = scene;
    tip.show(item.type === "node" ? nodeContent(state, shown, item.index) : edgeContent(state, state.graph.edges[item.index]), at);
  }
  function untell() {
    told = null;
    tip.hide();
  }
  function under(event) {
    if (event.target instanceof Element && event.target.closest(".token-flow__layers, .token-flow__tokens")) return null;
    const box = drawing.element.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.x) / zoom2, (event.clientY - box.y) / zoom2];
    const node = nodeAt(scene.layout, x, y);
    if (node !== null) return { type: "node", index: node };
    const { edges } = scene.shown;
    const edge = nearestRoute(edges.map(({ index }) => (
      /** @type {import("./lib/curves.js").Route} */
      scene.routes.get(index)
    )), x, y, REACH / zoom2);
    return edge < 0 ? null : { type: "edge", index: edges[edge].index };
  }
  function cut({ type, index }) {
    if (type === "edge" && scene.state.mode === "edit") choose({ cuts: toggled(scene.state, scene.state.graph.edges[index].id) });
  }
  const select = (index, shift) => choose(chosen(scene.state, scene.state.graph.nodes[index].id, shift));
  function leave() {
    untell();
    if (!hover) return;
    hover = null;
    frame.request();
  }
  function stepEdge(step) {
    if (!focus) return;
    const { graph } = scene.state;
    const from = focus.type === "node" ? focus.index : origin ?? graph.edges[focus.index].source;
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
    const [x, y] = [
      Math.min(0, at.left - 70 * zoom2 - view.left) + Math.max(0, at.right + 30 - view.right),
      Math.min(0, at.top - 30 - view.top) + Math.max(0, at.bottom + 60 * zoom2 - view.bottom)
    ];
    if (x !== 0 || y !== 0) scroller.scrollBy({ left: x, top: y, behavior: "instant" });
    drawing.hold(scene.layout, scroller, zoom2);
  }
  scroller.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    byKey = false;
    const found = under(event);
    scroller.style.cursor = found?.type === "node" || found && scene.state.mode === "edit" ? "pointer" : "default";
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
    hover = null;
    untell();
    frame.request();
  }, listening);
  scroller.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = scroller.getBoundingClientRect();
    resize(zoom2 * Math.exp(-2e-3 * Math.max(-100, Math.min(100, event.deltaY))), { x: event.clientX - box.x, y: event.clientY - box.y });
  }, { ...listening, passive: false });
  scroller.addEventListener("scroll", () => {
    drawing.hold(scene.layout, scroller, zoom2);
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
      const from = focus.type === "node" ? focus.index : origin ?? scene.state.graph.edges[focus.index].source;
      const index = focus.type === "edge" ? from : moveNode(scene.layout, from, event.key, (a, b) => a.column === b.column);
      focus = { type: "node", index };
      origin = index;
    } else if (event.key.toLowerCase() === "e") stepEdge(event.shiftKey ? -1 : 1);
    else if (event.key === "Enter" || event.key === " ") {
      if (focus.type === "node") select(focus.index, event.shiftKey);
    } else if (event.key === "x" || event.key === "Delete" || event.key === "Backspace") cut(focus);
    else if (event.key === "Escape") choose({ selected: "", other: "" });
    else if (event.key === "+" || event.key === "-") resize(zoom2 * (event.key === "+" ? ZOOM.step : 1 / ZOOM.step));
    else if (event.key === "0") resize(fitting());
    else return;
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
var token_flow_default = { render };
export {
  StandInModel,
  token_flow_default as default
};
