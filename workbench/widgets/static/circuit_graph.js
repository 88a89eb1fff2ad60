/* Built by `npm run build` in widgets/; edit the sources there, never this file.
 * sources: build.mjs package-lock.json src/circuit_graph.js src/circuit_graph/layout.js src/circuit_graph/picture.js src/circuit_graph/routes.js src/circuit_graph/state.js src/circuit_graph/text.js src/circuit_graph/tip.js src/circuit_graph/toolbar.js src/lib/arrays.js src/lib/colors.js src/lib/curves.js src/lib/dom.js src/lib/lifecycle.js src/lib/numbers.js src/lib/sign_colors.js src/lib/stand_in.js src/lib/tooltip.js
 * sources-sha256: 5d58738dd9b5a72d5c17443b9a3aa660fd10667a1f21857166c606799b31eea7
 * body-sha256: 236eecb239bcad5b8afb907eac5cf413c5ee66cbc1aa9823601c0ea96e2ccfe5
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

// src/lib/curves.js
var SAMPLES = 14;
function upright(start, end, least) {
  if (Math.abs(start.x - end.x) < 0.5) return route([`M${text(start)}`, `L${text(end)}`], () => [start, end]);
  const bend = Math.max(least, (start.y - end.y) / 2);
  const curve = [start, { x: start.x, y: start.y - bend }, { x: end.x, y: end.y + bend }, end];
  return route([`M${text(start)}`, cubicText(curve)], () => cubic(curve));
}
function route(parts, trace) {
  let points = null;
  return {
    path: parts.join(""),
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

// src/circuit_graph/layout.js
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
  const across = columns * pitch;
  const width = Math.max(room, LAYER_LABELS + across + MARGIN);
  const left = LAYER_LABELS + (width - LAYER_LABELS - MARGIN - across) / 2;
  const right = left + across;
  const solid = 2 * NODE_HEIGHT + PORT_HEIGHT;
  const gap = clamp((USUAL_HEIGHT / (layers.length + 1) - solid) / 2, GAP.least, GAP.most);
  const rowHeight = solid + 2 * gap;
  const logits = MARGIN + NODE_HEIGHT / 2;
  const height = 2 * MARGIN + 2 * NODE_HEIGHT + layers.length * rowHeight + gap + 8;
  const headY = (row2) => logits + NODE_HEIGHT / 2 + (layers.length - row2) * rowHeight - PORT_HEIGHT - NODE_HEIGHT / 2 + 8;
  const filled = /* @__PURE__ */ new Map();
  const places = nodes.map((node, index) => {
    if (!between(node)) {
      const alike = nodes.filter((other) => other.kind === node.kind);
      const share = across / alike.length;
      const row3 = node.kind === "embed" ? 0 : layers.length + 1;
      const barWidth = share - laneWidth;
      const x2 = left + (alike.indexOf(node) + 0.5) * share;
      const y2 = node.kind === "embed" ? height - MARGIN - NODE_HEIGHT / 2 : logits;
      return { index, x: x2, y: y2, width: barWidth, height: NODE_HEIGHT, row: row3, ports: false, bar: true };
    }
    const row2 = layers.indexOf(node.layer);
    const key = `${node.kind} ${node.layer}`;
    const column = filled.get(key) ?? 0;
    filled.set(key, column + 1);
    const head = node.kind === "head";
    const x = left + ((head ? 0 : heads) + column + 0.5) * pitch;
    const y = headY(row2) - (head ? 0 : NODE_HEIGHT + gap);
    return { index, x, y, width: pitch - laneWidth, height: NODE_HEIGHT, row: row2 + 1, ports: head && hasChannels, bar: false };
  });
  const bands = layers.map((layer, row2) => {
    const bottom = headY(row2) + NODE_HEIGHT / 2 + PORT_HEIGHT + gap / 2;
    return { label: `L${layer}`, bottom, top: bottom - rowHeight, y: headY(row2) };
  });
  const lanes = Array.from({ length: columns + 1 }, (_, i) => left + i * pitch);
  return { width, height, left, right, places, bands, lanes, laneWidth };
}
var between = (node) => node.kind === "head" || node.kind === "mlp";
function mostInLayer(nodes, kind) {
  const counts = /* @__PURE__ */ new Map();
  for (const node of nodes) if (node.kind === kind) counts.set(node.layer, (counts.get(node.layer) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}
function boxOf({ x, y, width, height, ports }) {
  return { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 + (ports ? PORT_HEIGHT : 0) };
}
function entry(place2, channel) {
  const box = boxOf(place2);
  const third = place2.width / 3;
  const shift = place2.ports && channel ? (["q", "k", "v"].indexOf(channel) - 1) * third : 0;
  return { x: place2.x + shift, y: box.bottom };
}
function nodeAt(layout, x, y) {
  return layout.places.findIndex((place2) => {
    const box = boxOf(place2);
    return x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
  });
}
function moveNode(layout, from, key) {
  const start = layout.places[from];
  const others = layout.places.filter((place2) => place2.index !== from);
  const sideways = key === "ArrowLeft" || key === "ArrowRight";
  const sign = key === "ArrowUp" || key === "ArrowRight" ? 1 : -1;
  const ahead = others.filter(
    (place2) => sideways ? place2.row === start.row && sign * (place2.x - start.x) > 0 : sign * (place2.row - start.row) > 0
  );
  const distance2 = (place2) => Math.abs(place2.row - start.row) * 1e6 + Math.abs(place2.x - start.x);
  const nearest = ahead.sort((a, b) => distance2(a) - distance2(b))[0];
  return nearest ? nearest.index : from;
}
var clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// src/circuit_graph/routes.js
var CLEARANCE = 2;
var BEND = 16;
var TURNS = [44, 26, 14];
var LANE_STEP = 2.6;
var known = /* @__PURE__ */ new WeakMap();
function routeEdges(layout, edges) {
  const boxes = layout.places.map(boxOf);
  const found = known.get(layout) ?? /* @__PURE__ */ new Map();
  known.set(layout, found);
  return edges.map((edge) => {
    const route2 = found.get(edge.index) ?? routeEdge(layout, boxes, edge);
    found.set(edge.index, route2);
    return route2;
  });
}
function routeEdge(layout, boxes, edge) {
  const [from, to] = [layout.places[edge.source], layout.places[edge.target]];
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
  const lanes = [...layout.lanes].sort((a, b) => way(a) - way(b));
  let first = null;
  for (const lane of lanes) {
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
  for (const [at, run, low, high] of sides) {
    if (run === 0) {
      if (at < low || at > high) return false;
      continue;
    }
    const [near, far] = [(low - at) / run, (high - at) / run].sort((p, q) => p - q);
    from = Math.max(from, near);
    to = Math.min(to, far);
    if (from > to) return false;
  }
  return true;
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
  const sign = bits & 32768 ? -1 : 1;
  const exponent = bits >> 10 & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
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

// src/circuit_graph/state.js
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
  order.forEach((edge, place2) => rank[edge] = place2 + 1);
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
function toggled(ids, id) {
  return ids.has(id) ? [...ids].filter((other) => other !== id) : [...ids, id];
}
var isMember = (state, edge) => state.inCircuitEdges?.has(edge.id) ?? true;
function isIdle(state, edge) {
  const { nodes } = state.graph;
  return state.cutNodes.has(nodes[edge.source].id) || state.cutNodes.has(nodes[edge.target].id);
}

// src/lib/sign_colors.js
var WANTED_CONTRAST = 5;
var known2 = /* @__PURE__ */ new Map();
function signColors(background) {
  let found = known2.get(background);
  if (!found) {
    const { fill: fill2 } = colorTable("", true);
    const best = (half) => half.reduce((a, b) => distance(b, background) < distance(a, background) ? b : a);
    found = { negative: best(fill2.slice(0, STEPS / 2)), positive: best(fill2.slice(STEPS / 2)) };
    known2.set(background, found);
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

// src/circuit_graph/text.js
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
  const parts = [`${node.label} (${kindText(node)}):`];
  parts.push(node.score === null ? "effect not given;" : `effect ${withUnit(state, node.score)};`);
  parts.push(`drawn edges: ${drawn.into} in, ${drawn.out} out`);
  return parts.join(" ") + standing(state.cutNodes.has(node.id), state.inCircuitNodes?.has(node.id) ?? true);
}
function edgeText(state, edge) {
  const words = `${edgeName(state, edge)}: weight ${withUnit(state, edge.weight)}; ${rankText(state, edge)}`;
  return words + standing(state.cutEdges.has(edge.id), isMember(state, edge));
}
var standing = (cut, member) => `${member ? "" : "; not in the circuit"}${cut ? "; cut" : ""}`;
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

// src/circuit_graph/picture.js
var WIDTH = { least: 1, most: 7 };
var LABEL_SIZES = [12, 11, 10];
var CROSS = "M-4.5,-4.5L4.5,4.5M-4.5,4.5L4.5,-4.5";
var lineWidth = (weight, most) => WIDTH.least + (most > 0 ? Math.abs(weight) / most : 0) * (WIDTH.most - WIDTH.least);
function picture(prefix) {
  const bands = svg("g", { class: "circuit-graph__bands" });
  const edges = svg("g", { class: "circuit-graph__edges" });
  const nodes = svg("g", { class: "circuit-graph__nodes" });
  const raised = svg("g", { class: "circuit-graph__raised", "aria-hidden": "true" });
  const element = svg("svg", { class: "circuit-graph__svg" }, bands, edges, raised, nodes);
  const pen = (
    /** @type {CanvasRenderingContext2D} */
    document.createElement("canvas").getContext("2d")
  );
  function paint(scene) {
    const { layout, shown, state } = scene;
    for (const [name2, value] of Object.entries({ width: layout.width, height: layout.height })) element.setAttribute(name2, String(value));
    bands.replaceChildren(...layout.bands.flatMap((band, row2) => bandParts(layout, band, row2)));
    const linked = new Set(shown.flatMap((edge) => [edge.source, edge.target]));
    const ports = new Set(shown.map((edge) => `${edge.target} ${edge.channel}`));
    const lines = shown.map((edge, i) => edgeElement(scene, edge, scene.routes[i], `${prefix}-edge${edge.index}`)).reverse();
    const outside = (line) => Number(line.classList.contains("is-outside"));
    edges.replaceChildren(...lines.sort((a, b) => outside(b) - outside(a)));
    const labels = labelsOf(scene, pen);
    const most = Math.max(0, ...state.graph.nodes.map((node) => Math.abs(node.score ?? 0)));
    nodes.replaceChildren(...layout.places.map((place2) => nodeElement(scene, place2, `${prefix}-node${place2.index}`, { label: labels.texts[place2.index], size: labels.size, most, linked: linked.has(place2.index), ports })));
  }
  function emphasise(scene, item, marks) {
    const { shown, routes } = scene;
    const near = new Set(item?.type === "node" ? [item.index] : []);
    const bright = [];
    shown.forEach((edge, i) => {
      const touched = item?.type === "node" ? edge.source === item.index || edge.target === item.index : edge.index === item?.index;
      if (!item || !touched) return;
      bright.push(i);
      near.add(edge.source).add(edge.target);
    });
    element.classList.toggle("is-dimmed", item !== null);
    const rings = (
      /** @type {const} */
      ["focus", "selected"].flatMap((name2) => {
        const mark = marks[name2];
        const at = mark?.type === "edge" ? shown.findIndex((edge) => edge.index === mark.index) : -1;
        return at < 0 ? [] : [ring(scene, at, name2)];
      })
    );
    raised.replaceChildren(...rings, ...bright.reverse().map((i) => edgeElement(scene, shown[i], routes[i], null)));
    [...nodes.children].forEach((node, index) => {
      node.classList.toggle("is-near", near.has(index));
      node.classList.toggle("is-selected", marks.selected?.type === "node" && marks.selected.index === index);
      node.classList.toggle("is-focus", marks.focus?.type === "node" && marks.focus.index === index);
    });
  }
  function name(item, words) {
    const id = `${prefix}-${item.type}${item.index}`;
    element.querySelector(`#${id}`)?.setAttribute("aria-label", words);
    return id;
  }
  return { element, paint, emphasise, name };
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
function edgeElement({ state, theme }, edge, route2, id) {
  const { positive, negative } = signColors(theme.background);
  const cut = state.cutEdges.has(edge.id);
  const idle = isIdle(state, edge);
  const group = svg("g", {
    id,
    role: id && "img",
    class: ["circuit-graph__edge", cut && "is-cut", idle && "is-idle", !isMember(state, edge) && "is-outside"].filter(Boolean).join(" ")
  });
  const width = lineWidth(edge.weight, state.graph.most);
  group.append(svg("path", {
    class: "circuit-graph__line",
    d: route2.path,
    stroke: edge.weight < 0 ? negative : positive,
    "stroke-width": width.toFixed(2),
    // Dashes grow with the line, or a wide one would look solid.
    "stroke-dasharray": cut || idle ? `${(3 + width).toFixed(1)} ${(3 + 0.8 * width).toFixed(1)}` : null
  }));
  if (cut) group.append(cross(route2.middle.x, route2.middle.y));
  return group;
}
function ring({ state, shown, routes }, at, name) {
  const width = lineWidth(shown[at].weight, state.graph.most);
  const line = (more, kind) => svg("path", { class: `circuit-graph__ring ${kind}`, d: routes[at].path, "stroke-width": (width + more).toFixed(2) });
  return svg("g", {}, line(name === "focus" ? 11 : 7, `is-${name}`), line(4, "is-gap"));
}
function cross(x, y) {
  const place2 = `translate(${x.toFixed(1)},${y.toFixed(1)})`;
  return svg(
    "g",
    { class: "circuit-graph__cross", transform: place2 },
    svg("circle", { r: 8 }),
    svg("path", { d: CROSS })
  );
}
function nodeElement({ state, theme }, place2, id, { label, size, most, linked, ports }) {
  const node = state.graph.nodes[place2.index];
  const cut = state.cutNodes.has(node.id);
  const outside = !(state.inCircuitNodes?.has(node.id) ?? true);
  const box = boxOf(place2);
  const [left, top, foot] = [box.left, box.top, box.top + place2.height];
  const fill2 = nodeFill(node.score, most, cut || outside, theme);
  const group = svg("g", {
    id,
    role: "img",
    "aria-label": `${node.label} (${kindText(node)})`,
    class: ["circuit-graph__node", `is-${node.kind}`, cut && "is-cut", outside && "is-outside", !linked && "is-unlinked"].filter(Boolean).join(" ")
  });
  if (place2.ports) {
    const third = place2.width / 3;
    ["q", "k", "v"].forEach((channel, i) => {
      const used = ports.has(`${place2.index} ${channel}`);
      const x = left + i * third;
      group.append(svg(
        "g",
        { class: used ? "circuit-graph__port is-used" : "circuit-graph__port" },
        svg("rect", { x: x + 0.5, y: foot - 3, width: third - 1, height: PORT_HEIGHT + 3, rx: 3 }),
        svg("text", { x: x + third / 2, y: foot + PORT_HEIGHT / 2, dy: "0.32em" }, channel)
      ));
    });
  }
  group.append(svg("rect", { class: "circuit-graph__box", x: left, y: top, width: place2.width, height: place2.height, rx: 4, fill: fill2 }));
  if (cut) {
    const inset = 3;
    const [l, r, t, b] = [left + inset, box.right - inset, top + inset, foot - inset];
    group.append(svg("path", { class: "circuit-graph__strike", d: `M${l},${t}L${r},${b}M${l},${b}L${r},${t}` }));
  }
  group.append(svg("text", {
    class: "circuit-graph__label",
    x: place2.x,
    y: place2.y,
    dy: "0.35em",
    "font-size": size,
    fill: inkOn(fill2),
    stroke: cut ? fill2 : null
  }, label));
  return group;
}
function labelsOf({ state, layout, theme }, pen) {
  const written = (size2) => {
    pen.font = `600 ${size2}px ${theme.font}`;
    return fitLabels(state.graph.nodes, (text2, i) => pen.measureText(text2).width <= layout.places[i].width - 4);
  };
  for (const size2 of LABEL_SIZES) {
    const { texts, whole } = written(size2);
    if (whole) return { texts, size: size2 };
  }
  const size = LABEL_SIZES[1];
  return { texts: written(size).texts, size };
}
function nodeFill(score, most, plain, theme) {
  if (plain || score === null || score === 0) return theme.background;
  const { positive, negative } = signColors(theme.background);
  return mix(theme.background, score < 0 ? negative : positive, 0.12 + 0.68 * Math.abs(score) / most);
}

// src/circuit_graph/tip.js
var MOST_LISTED = 3;
function nodeContent(state, index, shown) {
  const node = state.graph.nodes[index];
  const into = shown.filter((edge) => edge.target === index);
  const out = shown.filter((edge) => edge.source === index);
  const rows = [row("effect", node.score === null ? "not given" : withUnit(state, node.score))];
  if (state.inCircuitNodes) rows.push(row("in the circuit", state.inCircuitNodes.has(node.id) ? "yes" : "no"));
  if (state.cutNodes.has(node.id)) rows.push(row("cut", "yes"));
  return [
    h("div", { class: "circuit-graph__place" }, node.label, h("span", { class: "circuit-graph__kind" }, ` ${kindText(node)}`)),
    table(rows),
    ...strongest("reads", into, (edge) => state.graph.nodes[edge.source].label + (edge.channel ? ` by ${edge.channel}` : "")),
    ...strongest("is read by", out, (edge) => state.graph.nodes[edge.target].label + (edge.channel ? `.${edge.channel}` : "")),
    ...node.note ? [h("div", { class: "circuit-graph__note" }, node.note)] : []
  ];
}
function edgeContent(state, edge) {
  const rows = [row("weight", withUnit(state, edge.weight)), row("", rankText(state, edge))];
  if (state.inCircuitEdges) rows.push(row("in the circuit", isMember(state, edge) ? "yes" : "no"));
  if (state.cutEdges.has(edge.id)) rows.push(row("cut", "yes"));
  return [h("div", { class: "circuit-graph__place" }, edgeName(state, edge)), table(rows)];
}
function strongest(caption, edges, name) {
  if (edges.length === 0) return [];
  const more = edges.length - MOST_LISTED;
  return [
    h("div", { class: "circuit-graph__caption" }, caption + (more > 0 ? ` (${MOST_LISTED} of ${edges.length} drawn)` : "")),
    table(edges.slice(0, MOST_LISTED).map((edge) => row(name(edge), signed(edge.weight))))
  ];
}
var table = (rows) => h("table", {}, h("tbody", {}, ...rows));
var row = (name, value) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value));

// src/circuit_graph/toolbar.js
function toolbar(name, choose) {
  let stops = [0];
  let legendOf = [];
  const modes = ["select", "cut"].map((mode) => {
    const input = h("input", { type: "radio", name, value: mode, ...OWN_KEYS, onchange: () => choose({ mode }) });
    return { mode, input, element: h("label", { class: "circuit-graph__mode" }, input, h("span", {}, mode)) };
  });
  const slider = h("input", {
    type: "range",
    min: 0,
    step: 1,
    class: "circuit-graph__slider",
    "aria-label": "Number of edges drawn",
    ...OWN_KEYS,
    oninput: () => choose({ n_edges_shown: stops[Number(slider.value)] })
  });
  const count = h("span", { class: "circuit-graph__count" });
  const order = h("span", {});
  const legend = h("div", { class: "circuit-graph__legend" });
  const element = h(
    "div",
    { class: "circuit-graph__tools" },
    h("fieldset", { class: "circuit-graph__modes" }, h("legend", {}, "A click will"), ...modes.map((mode) => mode.element)),
    h("label", { class: "circuit-graph__field" }, order, h("span", { class: "circuit-graph__range" }, slider, count)),
    legend
  );
  function update(state, shown, theme) {
    order.textContent = state.inCircuitEdges ? "Edges, the circuit's first" : "Edges, strongest first";
    for (const { mode, input } of modes) input.checked = mode === state.mode;
    const total = nEdges(state.graph);
    stops = sliderStops(total);
    slider.max = String(stops.length - 1);
    slider.value = String(nearestStop(stops, state.nEdgesShown));
    const words = `${formatRank(shown.length)} of ${formatRank(total)}`;
    if (count.textContent !== words) count.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    const key = [state.graph, state.unit, state.inCircuitEdges !== null, theme.background];
    if (key.some((item, i) => item !== legendOf[i])) legend.replaceChildren(...legendParts(state, theme));
    legendOf = key;
  }
  return { element, update };
}
function legendParts({ graph, unit, inCircuitEdges }, theme) {
  const { positive, negative } = signColors(theme.background);
  const parts = [
    entry2(sample(positive, 4), "positive"),
    entry2(sample(negative, 4), "negative")
  ];
  if (graph.most > 0) {
    const half = graph.most / 2;
    const widths = h(
      "span",
      { class: "circuit-graph__widths" },
      sample("currentColor", lineWidth(half, graph.most)),
      `±${formatNumber(half, DIGITS)}`,
      sample("currentColor", lineWidth(graph.most, graph.most)),
      `±${formatNumber(graph.most, DIGITS)}${unit ? ` ${unit}` : ""}`
    );
    parts.push(h("span", { class: "circuit-graph__key" }, widths));
  }
  if (graph.hasChannels) {
    const ports = ["q", "k", "v"].map((channel) => h("span", { class: "circuit-graph__port-key" }, channel));
    parts.push(entry2(h("span", {}, ...ports), "query, key, value"));
  }
  if (inCircuitEdges) parts.push(entry2(sample("currentColor", 2, { opacity: 0.3 }), "not in the circuit"));
  const cut = svg(
    "svg",
    { width: 30, height: 12, "aria-hidden": "true" },
    svg("path", { d: "M0,6H30", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": "5 4", fill: "none" }),
    svg("path", { d: "M11,2L19,10M11,10L19,2", stroke: "currentColor", "stroke-width": 1.8, fill: "none" })
  );
  parts.push(entry2(cut, "cut"));
  return parts;
}
var entry2 = (picture2, words) => h("span", { class: "circuit-graph__key" }, picture2, words);
function sample(color2, width, more = {}) {
  return svg(
    "svg",
    { width: 26, height: 12, "aria-hidden": "true" },
    svg("path", { d: "M0,6H26", stroke: color2, "stroke-width": width.toFixed(2), fill: "none", ...more })
  );
}

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

// src/circuit_graph.js
var REACH = 7;
var HINT = "Point at a component or an edge. Arrow keys move, e steps through a component's edges, Enter selects, x cuts.";
var views = 0;
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const prefix = `circuit-graph-${views += 1}`;
  const drawing = picture(prefix);
  const title = h("div", { class: "circuit-graph__title" });
  const bar = toolbar(`${prefix}-mode`, choose);
  const scroller = h("div", {
    class: "circuit-graph__scroll",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "circuit graph",
    ...OWN_KEYS
  }, drawing.element);
  const status = h("div", { class: "circuit-graph__status", role: "status" });
  const stage = h("div", { class: "circuit-graph__stage" }, scroller, status);
  const readout = h("p", { class: "circuit-graph__readout", "aria-live": "polite" });
  const tip = tooltip("circuit-graph");
  const root = h("div", { class: "workbench-widget circuit-graph" }, title, bar.element, stage, readout, tip.element);
  el.append(root);
  const frame = frameScheduler(draw);
  const probe = (
    /** @type {CanvasRenderingContext2D} */
    document.createElement("canvas").getContext("2d", { willReadFrequently: true })
  );
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
  function theme() {
    const style = getComputedStyle(root);
    probe.fillStyle = style.getPropertyValue("--workbench-background").trim();
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    return { background: `rgb(${r}, ${g}, ${b})`, font: style.fontFamily };
  }
  function draw() {
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
    scroller.setAttribute("aria-label", `${state.title || "Circuit graph"}: ${state.graph.nodes.length} components, ${shown.length} edges drawn. A click ${action}. Arrow keys move, e steps through a component's edges, Enter selects, x cuts, Escape selects nothing.`);
  }
  function describe(item) {
    const { state, shown } = scene;
    if (item.type === "edge") return edgeText(state, edgeAt(state.graph, item.index));
    const drawn = {
      into: shown.filter((edge) => edge.target === item.index).length,
      out: shown.filter((edge) => edge.source === item.index).length
    };
    return nodeText(state, state.graph.nodes[item.index], drawn);
  }
  function present(item) {
    if (!item) return null;
    const there = item.type === "node" ? item.index < scene.layout.places.length : scene.shown.some((edge) => edge.index === item.index);
    return there ? item : null;
  }
  function itemOf(id) {
    const { graph } = scene.state;
    const node = graph.nodeIndex.get(id);
    if (node !== void 0) return { type: "node", index: node };
    const edge = findEdge(graph, id);
    return edge < 0 ? null : { type: "edge", index: edge };
  }
  const idOf = ({ type, index }) => type === "node" ? scene.state.graph.nodes[index].id : edgeAt(scene.state.graph, index).id;
  function hasFocus() {
    return (
      /** @type {Document | ShadowRoot} */
      root.getRootNode().activeElement === scroller
    );
  }
  function placeOf(item) {
    const frameBox = drawing.element.getBoundingClientRect();
    if (item.type === "node") {
      const box = boxOf(scene.layout.places[item.index]);
      return new DOMRect(frameBox.x + box.left, frameBox.y + box.top, box.right - box.left, box.bottom - box.top);
    }
    const { middle } = scene.routes[scene.shown.findIndex((edge) => edge.index === item.index)];
    return new DOMRect(frameBox.x + middle.x - 6, frameBox.y + middle.y - 6, 12, 12);
  }
  function tell(item, at) {
    told = { item, at };
    const { state, shown } = scene;
    tip.show(item.type === "node" ? nodeContent(state, item.index, shown) : edgeContent(state, edgeAt(state.graph, item.index)), at);
  }
  function untell() {
    told = null;
    tip.hide();
  }
  function under(event) {
    const box = drawing.element.getBoundingClientRect();
    const [x, y] = [event.clientX - box.x, event.clientY - box.y];
    const node = nodeAt(scene.layout, x, y);
    if (node >= 0) return { type: "node", index: node };
    const edge = nearestRoute(scene.routes, x, y, REACH);
    return edge < 0 ? null : { type: "edge", index: scene.shown[edge].index };
  }
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
  function stepEdge(step) {
    if (!focus) return;
    const start = focus.type === "node" ? focus.index : origin ?? edgeAt(scene.state.graph, focus.index).source;
    const own = scene.shown.filter((edge) => edge.source === start || edge.target === start);
    const now = focus.type === "edge" ? own.findIndex((edge) => edge.index === focus?.index) : step > 0 ? -1 : own.length;
    const next = own[now + step];
    origin = start;
    focus = next ? { type: "edge", index: next.index } : { type: "node", index: start };
  }
  function standing2() {
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
      Math.min(0, at.top - room - view.top) + Math.max(0, at.bottom + room - view.bottom)
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
      focus = { type: "node", index: focus.type === "edge" ? standing2() : moveNode(scene.layout, focus.index, event.key) };
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
var circuit_graph_default = { render };
export {
  StandInModel,
  circuit_graph_default as default
};
