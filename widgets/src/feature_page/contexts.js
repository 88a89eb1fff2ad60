import { inkOn } from "../lib/colors.js";
import { h } from "../lib/dom.js";
import { shade } from "../lib/sign_colors.js";
import { formatRank } from "../lib/numbers.js";
import { grouped, mostActive } from "./state.js";
import { inlineParts } from "./text.js";

/**
 * The contexts, each token shaded by its activation; the full colour is the greatest of the page.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Context} Context
 * @typedef {import("../lib/theme.js").Theme} Theme
 * @param {State} state
 * @param {Theme} theme
 * @param {string} prefix for the ids of tokens, this view's own
 */
export function contextList({ contexts }, theme, prefix) {
  const most = mostActive(contexts);
  return grouped(contexts).map(([group, members]) => h(
    "section", { class: "feature-page__group" },
    h("h4", {}, group, h("span", { class: "feature-page__count" }, ` ${formatRank(members.length)}`)),
    ...members.map((context) => contextElement(context, most, theme, prefix)),
  ));
}

/** @param {string} prefix @param {{context: number, token: number}} at */
export const tokenId = (prefix, { context, token }) => `${prefix}-${context}-${token}`;

/**
 * @param {Context} context
 * @param {number} most
 * @param {Theme} theme
 * @param {string} prefix
 */
function contextElement({ tokens, values, at, number, source }, most, theme, prefix) {
  const line = h("p", { class: "feature-page__context", title: source || null });
  tokens.forEach((token, i) => {
    const fill = shade(values[i], most, theme.background);
    const { lead, parts } = inlineParts(token);
    line.append(lead, h("span", {
      id: tokenId(prefix, { context: number, token: i }), class: i === at ? "feature-page__token is-place" : "feature-page__token",
      "data-context": number, "data-token": i, style: fill ? { background: fill, color: inkOn(fill) } : {},
    }, ...parts.map((part) => (part.mark ? h("i", {}, part.text) : part.text))));
  });
  return line;
}
