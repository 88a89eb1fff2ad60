/* Built by `npm run build` in widgets/; edit the sources there, never this file.
 * sources: build.mjs package-lock.json src/flow_graph.js src/flow_graph/buttons.js src/flow_graph/layout.js src/flow_graph/picture.js src/flow_graph/state.js src/flow_graph/text.js src/flow_graph/tip.js src/flow_graph/toolbar.js src/lib/arrays.js src/lib/curves.js src/lib/dom.js src/lib/fit_text.js src/lib/lifecycle.js src/lib/moving.js src/lib/numbers.js src/lib/stand_in.js src/lib/tokens.js src/lib/tooltip.js
 * sources-sha256: c6db775995024b3dcf4ba2ad8731f5a6718d92682819bfd2ee17a2f3f180fbeb
 * body-sha256: 9b979a21b6e895f58adfcc462a0808b8cb24c6a40bec3f41e955d863c73d0b3c
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
function moveNode({ places, rows }, from, key2, beside = () => true) {
  const start = places.get(from);
  if (!start) return places.keys().next().value ?? from;
  if (key2 === "ArrowLeft" || key2 === "ArrowRight") {
    const row2 = rows[start.row];
    return row2[row2.indexOf(from) + (key2 === "ArrowRight" ? 1 : -1)] ?? from;
  }
  const at2 = (index) => (
    /** @type {Place} */
    places.get(index)
  );
  const step = key2 === "ArrowUp" ? 1 : -1;
  for (const wanted of [(index) => beside(start, at2(index)), () => true]) {
    for (let row2 = start.row + step; row2 >= 0 && row2 < rows.length; row2 += step) {
      const found = rows[row2].filter(wanted);
      if (found.length === 0) continue;
      return found.reduce((a, b) => Math.abs(at2(b).x - start.x) < Math.abs(at2(a).x - start.x) ? b : a);
    }
  }
  return from;
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

// src/flow_graph/buttons.js
function buttons(act) {
  const up = button("▲", "Expand up: show more successors (u)", () => act.expand("up"));
  const down = button("▼", "Expand down: show more predecessors (d)", () => act.expand("down"));
  const scales = FACTORS.map(({ factor, text: text2, words }) => ({ factor, element: button(text2, words, () => act.scale(factor)) }));
  const above = h("div", { class: "flow-graph__buttons", role: "group", "aria-label": "Grow the graph upwards" }, up);
  const group = h("span", { class: "flow-graph__scales", role: "group", "aria-label": "Activation of the selected feature" }, ...scales.map(({ element }) => element));
  const below = h("div", { class: "flow-graph__buttons", role: "group", "aria-label": "Grow the graph downwards, change the activation" }, down, group);
  function update(state, layout, selected) {
    const place2 = selected === null ? void 0 : layout.places.get(selected);
    above.hidden = below.hidden = !place2 || state.mode !== "edit";
    if (above.hidden || !place2 || selected === null) return;
    const now = state.scales[state.graph.nodes[selected].id] ?? 1;
    for (const { factor, element } of scales) element.setAttribute("aria-pressed", String(factor === now));
    const half = layout.nodeHeight / 2;
    const ended = state.graph.nodes[selected].ended;
    above.style.top = `${place2.y - half - GAP - HEIGHT - (ended ? 6 : 0)}px`;
    below.style.top = `${place2.y + half + GAP}px`;
    for (const part of [above, below]) {
      const reach = part.offsetWidth / 2 + 2;
      part.style.left = `${Math.min(layout.width - reach, Math.max(reach, place2.x))}px`;
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
var GAP = 4;
var HEIGHT = 24;
var button = (text2, words, onclick) => h("button", { type: "button", title: words, "aria-label": words, ...OWN_KEYS, onclick }, text2);

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

// src/flow_graph/state.js
var TRAITS = [
  "title",
  "status",
  "mode",
  "threshold",
  "selected",
  "expand",
  "scales",
  "_nodes",
  "_edges",
  "_similarities",
  "_activations"
];
var LANES = ["mlp", "resid", "attn"];
var graphs = /* @__PURE__ */ new WeakMap();
function graphOf(nodes, encoded) {
  const known = graphs.get(encoded);
  if (known && known.nodes === nodes) return known;
  const [source, target, weight] = [encoded.source, encoded.target, encoded.weight].map((part) => decodeOnce(part).values);
  const edges = Array.from(weight, (value, index) => ({ index, source: source[index], target: target[index], weight: value }));
  const graph = { nodes, edges, nodeIndex: new Map(nodes.map((node, i) => [node.id, i])) };
  graphs.set(encoded, graph);
  return graph;
}
function readState(model) {
  return {
    title: model.get("title"),
    status: model.get("status"),
    mode: model.get("mode"),
    threshold: model.get("threshold"),
    selected: model.get("selected"),
    graph: graphOf(model.get("_nodes"), model.get("_edges")),
    similarities: model.get("_similarities"),
    activations: model.get("_activations"),
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
function numbersOf({ similarities, activations }, index) {
  const at2 = (array) => decodeOnce(array).values[index];
  const thresholds = decodeOnce(similarities.thresholds).values;
  return {
    resid: at2(similarities.resid),
    mlp: at2(similarities.mlp),
    attn: at2(similarities.attn),
    successor: at2(similarities.successor),
    thresholds: thresholds.slice(4 * index, 4 * index + 4),
    before: at2(activations.before),
    after: at2(activations.after)
  };
}
function scaled({ scales }, id, factor) {
  const { [id]: _, ...others } = scales;
  return factor === 1 ? others : { ...others, [id]: factor };
}
function mostActive({ activations }) {
  const sizes = [activations.before, activations.after].flatMap((array) => Array.from(decodeOnce(array).values, Math.abs));
  return Math.max(0, ...sizes.filter(Number.isFinite));
}

// src/flow_graph/layout.js
var NODE_WIDTH = { least: 78, most: 158, scrolled: 128 };
var NODE_HEIGHT = { look: 38, edit: 60 };
var BESIDE = 14;
var ABOVE = 46;
var LAYER_LABELS = 44;
var LANE_LABELS = 26;
var MARGIN = 12;
var LANE_GAP = 10;
var SWEEPS = 4;
var BEND = 18;
function layOut(nodes, edges, shown, room, mode) {
  const all = new Set(nodes.keys());
  const whole = arrange(nodes, edges, all, room, mode);
  if (whole.width <= room || shown.size === all.size) return withOnly(whole, shown);
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
  const rowOf = new Map(rows.flatMap((row2, number) => row2.map((index) => [index, number])));
  const lanes = LANES.filter((lane) => drawn.some((index) => nodes[index].lane === lane));
  const across = lanes.map((lane) => Math.max(...rows.map((row2) => row2.filter((index) => nodes[index].lane === lane).length)));
  const total = across.reduce((sum, count) => sum + count, 0);
  const free = room - LAYER_LABELS - MARGIN - (lanes.length - 1) * LANE_GAP;
  const each = Math.floor(free / Math.max(1, total)) - BESIDE;
  const nodeWidth = each < NODE_WIDTH.least ? NODE_WIDTH.scrolled : Math.min(each, NODE_WIDTH.most);
  const pitch = nodeWidth + BESIDE;
  const spare = Math.max(0, free - total * pitch) / Math.max(1, lanes.length);
  const columns = [];
  let x = LAYER_LABELS;
  lanes.forEach((lane, i) => {
    const right = x + across[i] * pitch + spare;
    columns.push({ lane, left: x, right });
    x = right + LANE_GAP;
  });
  const width = Math.max(room, x - LANE_GAP + MARGIN);
  const nodeHeight = mode === "edit" ? NODE_HEIGHT.edit : NODE_HEIGHT.look;
  const height = LANE_LABELS + rows.length * (nodeHeight + ABOVE) + MARGIN + ABOVE / 2;
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
    const upwards = sweep % 2 === 0;
    for (const { column, members } of upwards ? strips : [...strips].reverse()) {
      const wanted = new Map(members.map((index) => [index, wish(index, joined[upwards ? "below" : "above"], xs)]));
      const ordered = [...members].sort((a, b) => at(wanted, a) - at(wanted, b) || at(xs, a) - at(xs, b) || a - b);
      const spread = spaced(ordered.map((index) => at(wanted, index)), pitch, column.left + pitch / 2, column.right - pitch / 2);
      ordered.forEach((index, i) => xs.set(index, spread[i]));
    }
  }
  const places = new Map(drawn.map((index) => {
    const row2 = at(rowOf, index);
    return [index, { index, x: at(xs, index), y: middle(row2), row: row2 }];
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
function spaced(wanted, pitch, low, high) {
  const pools = [];
  wanted.forEach((x, i) => {
    pools.push({ sum: x - i * pitch, count: 1 });
    while (pools.length > 1) {
      const [a, b] = pools.slice(-2);
      if (a.sum / a.count <= b.sum / b.count) break;
      pools.splice(-2, 2, { sum: a.sum + b.sum, count: a.count + b.count });
    }
  });
  const last = high - (wanted.length - 1) * pitch;
  return pools.flatMap(({ sum, count }) => Array.from({ length: count }, () => clamp(sum / count, low, Math.max(low, last)))).map((x, i) => x + i * pitch);
}
function bandsOf(nodes, rows, middle, nodeHeight) {
  const bands = /* @__PURE__ */ new Map();
  rows.forEach((row2, number) => {
    const { layer } = nodes[row2[0]];
    const [top, bottom] = [middle(number) - nodeHeight / 2 - ABOVE / 2, middle(number) + nodeHeight / 2 + ABOVE / 2];
    const known = bands.get(layer);
    bands.set(layer, { layer, top, bottom: known ? known.bottom : bottom });
  });
  return [...bands.values()];
}
function edgePath({ places, nodeHeight }, { source, target }) {
  const [from, to] = [at(places, source), at(places, target)];
  return upright({ x: from.x, y: from.y - nodeHeight / 2 }, { x: to.x, y: to.y + nodeHeight / 2 }, BEND).path;
}
var at = (map, key2) => (
  /** @type {V} */
  map.get(key2)
);
var clamp = (value, low, high) => Math.min(high, Math.max(low, value));

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
  const parts = [];
  const characters = Array.from(token);
  const first = characters.findIndex((character) => character !== " ");
  let last = characters.length - 1;
  while (last > first && characters[last] === " ") last -= 1;
  characters.forEach((character, i) => {
    const inner = character === " " && first >= 0 && i > first && i < last;
    const shown = inner ? null : sign(character);
    const text2 = shown ?? character;
    const mark = shown !== null;
    const previous = parts.at(-1);
    if (previous && previous.mark === mark) previous.text += text2;
    else parts.push({ text: text2, mark });
  });
  return parts;
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

// src/flow_graph/text.js
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
function nodeText(state, shown, index) {
  const { nodes } = state.graph;
  const node = nodes[index];
  const parts = [`${node.id}${node.label ? ` “${node.label}”` : ""}: ${CLASS_NAMES[node.class]}`];
  const activation = activationText(numbersOf(state, index));
  if (node.ended) parts.push("it ends here");
  if (activation) parts.push(`activation ${activation}`);
  if (node.id in state.scales) parts.push(scaleWords(state.scales[node.id]));
  const rows = similarityRows(state, index);
  if (rows.length > 0) {
    parts.push(`similarity to its best match ${rows.map((row2) => {
      const held = heldAgainst(row2);
      return `in the ${row2.name} ${short(row2.value)}${held && ` (${held})`}`;
    }).join(", ")}`);
  }
  const path = strongestPath(nodes, shown.edges, index).nodes;
  if (path.length > 1) {
    const names = path.map((i) => shortName(nodes[i].id));
    parts.push(`strongest path ${names.length > LONGEST_PATH ? `${names.slice(0, LONGEST_PATH).join(" → ")} → …` : names.join(" → ")}`);
  }
  return parts.join("; ");
}
var scaleWords = (factor) => factor === 0 ? "switched off" : `activation ${scaleText(factor)}`;

// src/flow_graph/picture.js
var WIDTH = { least: 1, most: 7 };
var STRIPE = 5;
var PADDING = 6;
var LAYER_STRIP = 36;
var LANE_STRIP = 22;
var lineWidth = (weight) => WIDTH.least + Math.min(1, Math.max(0, weight)) * (WIDTH.most - WIDTH.least);
function picture(prefix) {
  const ground = svg("g", { class: "flow-graph__ground" });
  const edges = svg("g", { class: "flow-graph__edges" });
  const nodes = svg("g", { class: "flow-graph__nodes" });
  const layers = svg("g", { class: "flow-graph__layers" });
  const lanes = svg("g", { class: "flow-graph__lanes" });
  const element = svg("svg", { class: "flow-graph__svg" }, ground, edges, nodes, lanes, layers);
  const pen = (
    /** @type {CanvasRenderingContext2D} */
    document.createElement("canvas").getContext("2d")
  );
  let drawnEdges = /* @__PURE__ */ new Map();
  let drawnNodes = /* @__PURE__ */ new Map();
  function paint(scene) {
    const { layout, shown } = scene;
    for (const [name2, value] of Object.entries({ width: layout.width, height: layout.height })) element.setAttribute(name2, String(value));
    ground.replaceChildren(...groundParts(layout));
    layers.replaceChildren(...layerParts(layout));
    lanes.replaceChildren(...laneParts(layout));
    const order = [...shown.edges].sort((a, b) => a.weight - b.weight || a.index - b.index);
    drawnEdges = new Map(order.map((edge) => [edge.index, svg("path", {
      class: "flow-graph__edge",
      d: edgePath(layout, edge),
      "stroke-width": lineWidth(edge.weight).toFixed(2),
      "data-edge": edge.index
    })]));
    edges.replaceChildren(...drawnEdges.values());
    const most = mostActive(scene.state);
    drawnNodes = new Map([...layout.places.keys()].map((index) => [index, nodeElement(scene, index, `${prefix}-node${index}`, pen, most)]));
    nodes.replaceChildren(...drawnNodes.values());
  }
  function emphasise(scene, { bright, selected, focus }) {
    const path = bright === null ? null : strongestPath(scene.state.graph.nodes, scene.shown.edges, bright);
    const onPath = new Set(path?.nodes);
    element.classList.toggle("is-dimmed", path !== null);
    for (const [index, line] of drawnEdges) line.classList.toggle("is-path", path?.edges.has(index) ?? false);
    for (const [index, node] of drawnNodes) {
      node.classList.toggle("is-path", onPath.has(index));
      node.classList.toggle("is-selected", index === selected);
      node.classList.toggle("is-focus", index === focus);
    }
  }
  function hold({ columns }, { scrollLeft: x, scrollTop: y, clientWidth }) {
    layers.setAttribute("transform", `translate(${x},0)`);
    lanes.setAttribute("transform", `translate(0,${y})`);
    [...lanes.querySelectorAll("text")].forEach((text2, i) => {
      const [left, right] = [Math.max(columns[i].left, x + LAYER_STRIP), Math.min(columns[i].right, x + clientWidth)];
      text2.setAttribute("x", ((left < right ? left + right : columns[i].left + columns[i].right) / 2).toFixed(1));
    });
    layers.classList.toggle("is-held", x > 0);
    lanes.classList.toggle("is-held", y > 0);
  }
  function name(index, words) {
    drawnNodes.get(index)?.setAttribute("aria-label", words);
    return `${prefix}-node${index}`;
  }
  return { element, paint, emphasise, hold, name };
}
function groundParts({ bands, columns, width, height }) {
  return [
    ...bands.map((band, i) => svg("rect", {
      class: i % 2 === 0 ? "flow-graph__band is-even" : "flow-graph__band",
      x: 0,
      y: band.top,
      width,
      height: band.bottom - band.top
    })),
    ...columns.slice(1).map(({ left }) => svg("path", { class: "flow-graph__border", d: `M${left - 5},4V${height}` }))
  ];
}
function layerParts({ bands, height }) {
  return [
    svg("rect", { class: "flow-graph__behind", width: LAYER_STRIP, height }),
    ...bands.map((band) => svg("text", {
      class: "flow-graph__layer",
      x: 8,
      y: (band.top + band.bottom) / 2,
      dy: "0.35em"
    }, band.layer < 0 ? "emb." : `L${band.layer}`))
  ];
}
function laneParts({ columns, width }) {
  return [
    svg("rect", { class: "flow-graph__behind", width, height: LANE_STRIP }),
    ...columns.map(({ lane, left, right }) => svg("text", { class: "flow-graph__lane", y: 15, x: (left + right) / 2 }, LANE_NAMES[lane]))
  ];
}
function nodeElement({ state, layout, font }, index, id, pen, most) {
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
    class: ["flow-graph__node", `is-${node.class || "unknown"}`, node.root && "is-root", factor === 0 && "is-off", factor !== 1 && "is-scaled"].filter(Boolean).join(" ")
  });
  if (node.ended) group.append(svg("path", { class: "flow-graph__end", d: `M${nodeWidth / 2},0V-7M${nodeWidth / 2 - 12},-7H${nodeWidth / 2 + 12}` }));
  group.append(
    svg("rect", { class: "flow-graph__box", width: nodeWidth, height: nodeHeight, rx: 5 }),
    svg("path", { class: "flow-graph__stripe", d: `M${STRIPE},0.5V${nodeHeight - 0.5}H5A4.5,4.5 0 0 1 0.5,${nodeHeight - 5}V5A4.5,4.5 0 0 1 5,0.5Z` })
  );
  const badge = factor === 1 ? "" : scaleText(factor);
  pen.font = `700 11px ${font}`;
  const badgeWidth = badge ? pen.measureText(badge).width + 8 : 0;
  group.append(svg("text", { class: "flow-graph__label", x: left, y: 16 }, fit(label, 12, 600, room - badgeWidth)));
  if (badge) group.append(svg("text", { class: "flow-graph__badge", x: nodeWidth - PADDING, y: 16 }, badge));
  const small = node.label.trim() ? name : "";
  const kind = node.class === "module" || node.class === "" ? "" : CLASS_NAMES[node.class];
  pen.font = `400 10px ${font}`;
  const both = [small, kind].filter(Boolean).join(" · ");
  const line = pen.measureText(both).width <= room ? both : small || kind;
  group.append(svg("text", { class: "flow-graph__name", x: left, y: 30 }, fit(line, 10, 400, room)));
  if (state.mode === "edit") group.append(...barParts(numbersOf(state, index), most, left, room));
  return group;
}
function barParts(numbers, most, left, room) {
  const length = (value) => most > 0 && Number.isFinite(value) ? Math.max(1, Math.abs(value) / most * room) : 0;
  const parts = [];
  if (Number.isFinite(numbers.before)) parts.push(svg("rect", { class: "flow-graph__before", x: left, y: 35, height: 4, width: length(numbers.before).toFixed(1) }));
  if (Number.isFinite(numbers.after)) parts.push(svg("rect", { class: "flow-graph__after", x: left, y: 40, height: 4, width: length(numbers.after).toFixed(1) }));
  parts.push(svg("text", { class: "flow-graph__activation", x: left, y: 55 }, activationText(numbers) || "activation not known"));
  return parts;
}

// src/flow_graph/tip.js
function nodeContent(state, shown, index) {
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
    h("div", { class: "flow-graph__place" }, node.id),
    ...node.label ? [h("div", { class: "flow-graph__words" }, node.label)] : [],
    h("div", { class: "flow-graph__kind" }, h("b", {}, CLASS_NAMES[node.class]), meaning ? `: ${meaning}` : ""),
    table(facts),
    ...rows.length > 0 ? [h("div", { class: "flow-graph__caption" }, "similarity to the best match"), table(rows)] : [],
    ...node.ended ? [h("div", { class: "flow-graph__note" }, "It ends here: no successor is as similar as the threshold asks.")] : []
  ];
}
function edgeContent({ graph }, number) {
  const { source, target, weight } = graph.edges[number];
  const [from, to] = [graph.nodes[source], graph.nodes[target]];
  const named = (node) => `${shortName(node.id)}${node.label ? ` “${node.label}”` : ""}, ${LANE_NAMES[node.lane]}`;
  return [
    h("div", { class: "flow-graph__place" }, `${shortName(from.id)} → ${shortName(to.id)}`),
    table([row("from", named(from), ""), row("to", named(to), ""), row("similarity", short(weight), "")])
  ];
}
var table = (rows) => h("table", {}, h("tbody", {}, ...rows));
var row = (name, value, more) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value), h("td", { class: "flow-graph__more" }, more));

// src/flow_graph/toolbar.js
function toolbar(choose) {
  let legendOf = [];
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.01,
    class: "flow-graph__slider",
    "aria-label": "Least similarity drawn",
    ...OWN_KEYS,
    oninput: () => choose({ threshold: Number(slider.value) })
  });
  const value = h("span", { class: "flow-graph__value" });
  const count = h("span", { class: "flow-graph__count" });
  const legend = h("div", { class: "flow-graph__legend" });
  const element = h(
    "div",
    { class: "flow-graph__tools" },
    h("label", { class: "flow-graph__field" }, h("span", {}, "Edges with a similarity of at least"), h("span", { class: "flow-graph__range" }, slider, value)),
    count,
    legend
  );
  function update(state, shown) {
    slider.value = String(state.threshold);
    value.textContent = short(state.threshold);
    const { nodes, edges } = state.graph;
    const words = `${formatRank(shown.nodes.size)} of ${formatRank(nodes.length)} features, ${formatRank(shown.edges.length)} of ${formatRank(edges.length)} edges`;
    if (count.textContent !== words) count.textContent = words;
    slider.setAttribute("aria-valuetext", `${short(state.threshold)}: ${words}`);
    const key2 = [state.graph, state.mode];
    if (key2.some((item, i) => item !== legendOf[i])) legend.replaceChildren(...legendParts(state));
    legendOf = key2;
  }
  return { element, update };
}
function legendParts({ graph, mode }) {
  const classes = Object.keys(CLASS_NAMES).filter((name) => name !== "" && graph.nodes.some((node) => node.class === name));
  const parts = classes.map((name) => h(
    "span",
    { class: `flow-graph__key is-${name}`, title: CLASS_MEANINGS[name] },
    h("span", { class: "flow-graph__swatch" }),
    CLASS_NAMES[name]
  ));
  if (graph.nodes.some((node) => node.root)) parts.push(key(h("span", { class: "flow-graph__swatch is-root" }), "asked for"));
  if (graph.nodes.some((node) => node.ended)) {
    parts.push(key(svg("svg", { width: 24, height: 12, "aria-hidden": "true" }, svg("path", { class: "flow-graph__end", d: "M12,11V4M2,4H22" })), "ends here"));
  }
  for (
    const [weight, words] of
    /** @type {[number, string][]} */
    [[0.25, short(0.25)], [1, `${short(1)} similarity`]]
  ) {
    const line = svg("path", { class: "flow-graph__sample", d: "M0,6H26", "stroke-width": lineWidth(weight) });
    parts.push(key(svg("svg", { width: 26, height: 12, "aria-hidden": "true" }, line), words));
  }
  if (mode === "edit") {
    parts.push(key(h("span", { class: "flow-graph__bar is-before" }), "activation before"));
    parts.push(key(h("span", { class: "flow-graph__bar is-after" }), "and after"));
  }
  return parts;
}
var key = (picture2, words) => h("span", { class: "flow-graph__key" }, picture2, words);

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

// src/flow_graph.js
var HINT = "Point at a feature. Arrow keys move, Enter selects, Escape selects nothing.";
var EDIT_HINT = "Point at a feature. Arrow keys move, Enter selects, u and d expand, 0, 1, 2 and 4 scale its activation, Escape selects nothing.";
var views = 0;
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const drawing = picture(`flow-graph-${views += 1}`);
  const title = h("div", { class: "flow-graph__title" });
  const bar = toolbar(choose);
  const tools = buttons({
    expand: (way) => expand(state().selected, way),
    scale: (factor) => scale(state().selected, factor)
  });
  const surface = h("div", { class: "flow-graph__surface" }, drawing.element, ...tools.elements);
  const scroller = h("div", {
    class: "flow-graph__scroll",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "feature flow",
    ...OWN_KEYS
  }, surface);
  const status = h("div", { class: "flow-graph__status", role: "status" });
  const stage = h("div", { class: "flow-graph__stage" }, scroller, status);
  const readout = h("p", { class: "flow-graph__readout", "aria-live": "polite" });
  const tip = tooltip("flow-graph");
  const root = h("div", { class: "workbench-widget flow-graph" }, title, bar.element, stage, readout, tip.element);
  el.append(root);
  const frame = frameScheduler(draw);
  let scene;
  let drawnFrom = [];
  let hover = null;
  let focus = null;
  let told = null;
  let byKey = false;
  const state = () => readState(model);
  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  }
  function expand(id, way) {
    if (id && state().mode === "edit") choose({ selected: id, expand: [id, way, state().wishes + 1] });
  }
  function scale(id, factor) {
    if (id && state().mode === "edit") choose({ selected: id, scales: scaled(state(), id, factor) });
  }
  function draw() {
    const width = scroller.clientWidth;
    if (width <= 0) return;
    const { fontFamily: font } = getComputedStyle(root);
    const key2 = [...TRAITS.map((name) => model.get(name)), width, font];
    if (key2.some((item, i) => item !== drawnFrom[i])) {
      drawnFrom = key2;
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
    const words = spoken === null ? scene.state.mode === "edit" ? EDIT_HINT : HINT : describe(spoken);
    if (readout.textContent !== words) readout.textContent = words;
  }
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
    scroller.setAttribute("aria-label", `${now.title || "Feature flow"}: ${shown.nodes.size} features, ${shown.edges.length} edges drawn. ` + (now.mode === "edit" ? EDIT_HINT : HINT));
  }
  function centre() {
    const first = start();
    if (first === null) return;
    const { x, y } = (
      /** @type {import("./flow_graph/layout.js").Place} */
      scene.layout.places.get(first)
    );
    scroller.scrollTo({ left: x - scroller.clientWidth / 2, top: y - scroller.clientHeight / 2, behavior: "instant" });
  }
  const describe = (index) => nodeText(scene.state, scene.shown, index);
  const present = (index) => index !== null && scene.layout.places.has(index) ? index : null;
  function hasFocus() {
    return (
      /** @type {Document | ShadowRoot} */
      root.getRootNode().activeElement === scroller
    );
  }
  function boxOf(index) {
    const frameBox = drawing.element.getBoundingClientRect();
    const { nodeWidth, nodeHeight, places } = scene.layout;
    const { x, y } = (
      /** @type {import("./flow_graph/layout.js").Place} */
      places.get(index)
    );
    return new DOMRect(frameBox.x + x - nodeWidth / 2, frameBox.y + y - nodeHeight / 2, nodeWidth, nodeHeight);
  }
  function tellNode(index) {
    told = { node: index };
    tip.show(nodeContent(scene.state, scene.shown, index), boxOf(index));
  }
  function untell() {
    told = null;
    tip.hide();
  }
  function retell() {
    if (told && "node" in told && present(told.node) !== null) tellNode(told.node);
    else untell();
  }
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
    const at2 = boxOf(focus);
    const view = scroller.getBoundingClientRect();
    const room = 34;
    const [x, y] = [
      Math.min(0, at2.left - room - view.left) + Math.max(0, at2.right + room - view.right),
      Math.min(0, at2.top - room - view.top) + Math.max(0, at2.bottom + room - view.bottom)
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
    const way = { u: (
      /** @type {const} */
      "up"
    ), d: (
      /** @type {const} */
      "down"
    ) }[event.key];
    if (event.key.startsWith("Arrow")) focus = moveNode(scene.layout, focus, event.key);
    else if (event.key === "Enter" || event.key === " ") choose({ selected: id });
    else if (event.key === "Escape") choose({ selected: "" });
    else if (way && scene.state.mode === "edit") expand(id, way);
    else if (factor !== void 0 && scene.state.mode === "edit") scale(id, factor);
    else return;
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
var flow_graph_default = { render };
export {
  StandInModel,
  flow_graph_default as default
};
