// How sure the answer is: one scale between two labels with "neither" in its middle, or a bar for each of several.

import { element } from "../lib/dom.js";
import { formatNumber, formatProbability, shown, text } from "../lib/text.js";
import { labelled, presentOf } from "./answer.js";

/** The likeliest classes have their bars in view; the rest is folded away. A single one left over is not worth a fold. */
const BARS_IN_VIEW = 5;

/** What shows an answer's probabilities: rows in view, and what makes the others, for a fold. */
export function probabilityRows(answer) {
  const entries = Object.entries(answer.probabilities);
  if (entries.length === 2) return { inView: [scale(answer, entries)], folded: [], together: 0 };
  const sorted = entries.sort(([, a], [, b]) => b - a);
  const likely = presentOf(answer);
  const bars = sorted.map(([label, value]) => () => bar(label, value, likely.includes(label)));
  const count = bars.length > BARS_IN_VIEW + 1 ? BARS_IN_VIEW : bars.length;
  const together = sorted.slice(count).reduce((sum, [, value]) => sum + value, 0);
  return { inView: bars.slice(0, count).map((make) => make()), folded: bars.slice(count), together };
}

/** What the fold is called: how many others, and how much they have together. */
export const foldName = ({ folded, together }) =>
  text("answer.rest", { count: formatNumber(folded.length), together: formatProbability(together) });

function scale({ recognized, ...answer }, [[first, left], [second, right]]) {
  const both = presentOf({ ...answer, recognized }).length > 1;
  // Between the labels where the network is torn; in the middle where it recognizes neither.
  const marker = element("span", { className: "scale-marker" });
  marker.style.left = `${(recognized ? right : 0.5) * 100}%`;
  const end = (label, value, side) =>
    element(
      "span",
      { className: `scale-end ${side}`, ...meter(label, value) },
      element("span", { className: "bar-label" }, labelled(label)),
      " ",
      element("span", { className: "bar-value" }, formatProbability(value)),
    );
  const middle = element("span", { className: "scale-middle" }, text(both ? "scale.both" : "scale.neither"));
  const track = element("span", { className: "scale-track", "aria-hidden": "true" }, ...(both ? [] : [marker]));
  const row = element("li", { className: "scale" }, end(first, left, "first"), middle, end(second, right, "second"), track);
  row.dataset.verdict = both ? "both" : !recognized ? "neither" : left > right ? "first" : "second";
  return row;
}

function bar(label, value, first) {
  const track = element("span", { className: "bar-track", ...meter(label, value) });
  const fill = element("span", { className: "bar-fill" });
  fill.style.width = `${value * 100}%`;
  track.append(fill);
  return element(
    "li",
    { className: first ? "bar first" : "bar" },
    element("span", { className: "bar-label" }, labelled(label)),
    element("span", { className: "bar-value" }, formatProbability(value)),
    track,
  );
}

const meter = (label, value) => ({
  role: "meter",
  "aria-label": shown(label),
  "aria-valuemin": "0",
  "aria-valuemax": "100",
  "aria-valuenow": (value * 100).toFixed(1),
  "aria-valuetext": formatProbability(value),
});
