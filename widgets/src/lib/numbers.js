/**
 * A number as text with `digits` places after the point. What would be rounded to zero but is not, and
 * what is too large to read, is written with an exponent, so that a text never claims a false zero.
 * @param {number} value
 * @param {number} digits
 */
export function formatNumber(value, digits) {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text;
  if (size >= 1e7 || (size > 0 && size < 0.5 * 10 ** -digits)) {
    text = value.toExponential(1);
  } else {
    text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }
  return text.replace(/-/g, "−");
}

/**
 * A probability as text: three places, exponent below that.
 * @param {number} logProbability natural logarithm
 */
export function formatProbability(logProbability) {
  return formatNumber(Math.exp(logProbability), 3);
}

/**
 * A rank as text, 1 for the top.
 * @param {number} rank counted from 1
 */
export function formatRank(rank) {
  return rank.toLocaleString("en-US");
}
