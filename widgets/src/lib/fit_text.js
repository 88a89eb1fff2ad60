/**
 * A text cut with an ellipsis to a width.
 * @param {string} text
 * @param {number} width
 * @param {(text: string) => number} measure
 */
export function fitText(text, width, measure) {
  if (measure(text) <= width) return text;
  const characters = Array.from(text.slice(0, 200));
  let count = characters.length;
  while (count > 1 && measure(`${characters.slice(0, count).join("").trimEnd()}…`) > width) count -= 1;
  return `${characters.slice(0, count).join("").trimEnd()}…`;
}
