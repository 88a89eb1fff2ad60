/**
 * FeaturePage: what a feature of a dictionary is active on and what it does. The Python half is
 * workbench/widgets/feature_page.py.
 *
 * @typedef {import("./feature_page/state.js").State} State
 * @typedef {import("./lib/lifecycle.js").Model} Model
 * @typedef {{context: number, token: number}} At
 */
import { OWN_KEYS, frameScheduler, h } from "./lib/dom.js";
import { redrawOnChange } from "./lib/lifecycle.js";
import { themeOf } from "./lib/theme.js";
import { tokenParts } from "./lib/tokens.js";
import { tooltip } from "./lib/tooltip.js";
import { contextList, tokenId } from "./feature_page/contexts.js";
import { effects, lists } from "./feature_page/lists.js";
import { MOST_LABEL, TRAITS, moveToken, readState, scoreOf } from "./feature_page/state.js";
import { facts, short, tokenText } from "./feature_page/text.js";

export { StandInModel } from "./lib/stand_in.js";

const HINT = "Point at a token for its activation. Arrow keys move along the text and between contexts.";
let views = 0;

/**
 * Draws a view of the model into an element.
 * @param {{model: Model, el: HTMLElement}} context
 * @returns {() => void} takes the view apart
 */
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const prefix = `feature-page-${(views += 1)}`;
  const name = h("div", { class: "feature-page__name" });
  const label = h("span", { class: "feature-page__label" });
  const input = h("input", {
    class: "feature-page__input", type: "text", maxlength: MOST_LABEL, placeholder: "no label", "aria-label": "Label of the feature", spellcheck: "false", ...OWN_KEYS,
  });
  const score = h("span", { class: "feature-page__score" });
  const about = h("dl", { class: "feature-page__facts" });
  const head = h("header", {}, name, h("div", { class: "feature-page__heading" }, label, input, score), about);
  const dead = h("p", { class: "feature-page__dead" });
  const texts = h("div", {
    class: "feature-page__contexts", tabindex: 0, role: "application", "aria-roledescription": "contexts", ...OWN_KEYS,
  });
  const readout = h("p", { class: "feature-page__readout", "aria-live": "polite" });
  const without = h("div", { class: "feature-page__parts" });
  const main = h("div", { class: "feature-page__main" }, texts, readout, without);
  const side = h("div", { class: "feature-page__side feature-page__parts" });
  const body = h("div", { class: "feature-page__body" }, main, side);
  const status = h("div", { class: "feature-page__status", role: "status" });
  const stage = h("div", { class: "feature-page__stage" }, head, dead, body, status);
  const tip = tooltip("feature-page");
  const root = h("div", { class: "workbench-widget feature-page" }, stage, tip.element);
  el.append(root);

  const frame = frameScheduler(draw);
  /** @type {State} */
  let state = readState(model);
  /** @type {unknown[]} */
  let drawnFrom = [];
  /** @type {At | null} */
  let focus = null;

  /** @param {Partial<import("./feature_page/state.js").Choice>} changes */
  function choose(changes) {
    for (const [trait, value] of Object.entries(changes)) model.set(trait, value);
    model.save_changes();
  }

  function draw() {
    state = readState(model);
    const { page, contexts } = state;
    const theme = themeOf(root);
    label.hidden = state.editable;
    input.hidden = !state.editable;
    label.textContent = state.label || "no label";
    label.classList.toggle("is-empty", state.label === "");
    // What is being typed is nobody else's to change.
    if (!hasFocus(input)) input.value = state.label;
    const words = scoreOf(state);
    score.textContent = state.label || page.score !== "not scored" ? words : "";
    score.classList.toggle("is-scored", words !== "not scored");
    status.textContent = state.status;
    stage.classList.toggle("is-stale", state.status !== "");
    stage.classList.toggle("is-error", state.status.startsWith("error"));
    const key = [page, contexts, theme.background];
    if (key.every((item, i) => item === drawnFrom[i])) return;
    if (contexts !== drawnFrom[1]) focus = null;
    drawnFrom = key;
    untell();
    name.textContent = page.feature;
    about.replaceChildren(...facts(page).map(([term, fact]) => h("div", {}, h("dt", {}, term), h("dd", {}, fact))));
    dead.hidden = !page.dead && contexts.length > 0;
    dead.textContent = page.dead
      ? "This feature never fires on these texts: it is dead, and there is no context to show."
      : "No contexts were given.";
    texts.hidden = readout.hidden = contexts.length === 0;
    without.replaceChildren(...effects(page));
    main.hidden = contexts.length === 0 && without.childElementCount === 0;
    texts.replaceChildren(...contextList(state, theme, prefix));
    texts.setAttribute("aria-label", `${contexts.length} contexts of ${page.feature}. ${HINT}`);
    side.replaceChildren(...lists(page, (chosen) => choose({ chosen })));
    side.hidden = side.childElementCount === 0;
    tell(focus);
  }

  /** @param {Element} element */
  function hasFocus(element) {
    return /** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement === element;
  }

  /** @param {At} at */
  const elementOf = (at) => texts.querySelector(`#${tokenId(prefix, at)}`);

  /** Says the numbers of a token below the contexts. @param {At | null} at */
  function tell(at) {
    const words = at === null ? HINT : tokenText(state.contexts, at);
    if (readout.textContent !== words) readout.textContent = words;
  }

  /** @param {At} at */
  function point(at) {
    const { tokens, values } = state.contexts[at.context];
    const parts = tokenParts(tokens[at.token]).map((part) => (part.mark ? h("i", {}, part.text) : part.text));
    const box = elementOf(at)?.getBoundingClientRect();
    if (box) tip.show([h("b", {}, ...parts), h("div", {}, `activation ${short(values[at.token])}`)], box);
    tell(at);
  }

  function untell() {
    tip.hide();
    tell(hasFocus(texts) ? focus : null);
  }

  texts.addEventListener("pointermove", (event) => {
    const found = event.target instanceof Element ? event.target.closest("[data-token]") : null;
    if (!found || event.pointerType === "touch") untell();
    else point({ context: Number(found.getAttribute("data-context")), token: Number(found.getAttribute("data-token")) });
  }, listening);
  texts.addEventListener("pointerleave", untell, listening);
  texts.addEventListener("focus", () => {
    if (texts.matches(":focus-visible")) mark(focus ?? (state.contexts.length > 0 ? { context: 0, token: state.contexts[0].at } : null));
  }, listening);
  texts.addEventListener("blur", () => {
    mark(null);
    untell();
  }, listening);

  /** @param {At | null} at */
  function mark(at) {
    texts.querySelector(".is-focus")?.classList.remove("is-focus");
    texts.removeAttribute("aria-activedescendant");
    focus = at ?? focus;
    if (!at) return;
    const token = elementOf(at);
    token?.classList.add("is-focus");
    token?.scrollIntoView({ block: "nearest", inline: "nearest" });
    token?.setAttribute("aria-label", tokenText(state.contexts, at));
    if (token) texts.setAttribute("aria-activedescendant", token.id);
    tell(at);
  }

  texts.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || state.contexts.length === 0) return;
    const next = moveToken(state.contexts, focus ?? { context: 0, token: state.contexts[0].at }, event.key);
    if (!next) return;
    // The notebook has its own arrow keys: they must not act on its cells too.
    event.preventDefault();
    event.stopPropagation();
    tip.hide();
    mark(next);
  }, listening);

  input.addEventListener("change", () => choose({ label: input.value.trim() }), listening);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") input.value = state.label;
    if (event.key === "Escape" || event.key === "Enter") input.blur();
    event.stopPropagation();
  }, listening);
  input.addEventListener("blur", () => frame.request(), listening);
  addEventListener("scroll", () => tip.hide(), { ...listening, capture: true, passive: true });

  const close = redrawOnChange({ model, traits: TRAITS, root, frame, stopped });
  draw();
  return close;
}

export default { render };
