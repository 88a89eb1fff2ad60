/**
 * A model for pages without a kernel: the state an exported page carries, behind the part of the
 * anywidget model that a view uses.
 */

/**
 * A copy of a state from JSON in which each `{"__bytes__": base64}` is a DataView, as the views get
 * arrays from a kernel.
 * @param {any} value
 * @returns {any}
 */
export function revive(value) {
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

export class StandInModel {
  /** @param {Record<string, any>} state */
  constructor(state) {
    this.state = revive(state);
    /** @type {Map<string, Set<(...args: any[]) => void>>} */
    this.listeners = new Map();
    /** Messages of `send`, kept so that a page or a test can look at them. */
    this.sent = /** @type {any[]} */ ([]);
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
    const known = this.listeners.get(event) ?? new Set();
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
    for (const listener of [...(this.listeners.get(event) ?? [])]) listener(...args);
  }

  /** There is nowhere to save to: the page holds the only state. */
  save_changes() {}

  /** @param {any} content */
  send(content) {
    this.sent.push(content);
  }
}
