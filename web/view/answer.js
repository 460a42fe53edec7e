// An answer in words: which label, how sure, both, or none.

import { areNamed, formatNumber, formatProbability, listed, shown, text } from "../lib/text.js";

/** Of a batch the most frequent labels are counted by name. */
const LABELS_COUNTED = 5;

/** The labels that a photo shows, the likeliest first; an API of an earlier version names none. */
export const presentOf = ({ present, recognized, prediction }) => present ?? (recognized ? [prediction] : []);

/** Whether an answer says more than one label. */
export const isBoth = (answer) => presentOf(answer).length > 1;

/** An answer as people say it: "Tulip, 98.2% sure". */
export function answerText(answer) {
  if (!answer.recognized) return unrecognized(answer, ".note");
  if (isBoth(answer)) return headlineOf(answer);
  return text("answer.say", { label: labelled(answer.prediction), confidence: formatProbability(answer.confidence) });
}

/** The answer as a headline: a label, several, or none of them. */
export function headlineOf(answer) {
  if (!answer.recognized) return unrecognized(answer);
  if (isBoth(answer)) return text("answer.both", { list: listed(presentOf(answer).map(shown)) });
  return labelled(answer.prediction);
}

/** That a photo shows none of the labels: of two they are named, of more they are counted. */
export function unrecognized({ prediction, probabilities }, form = "") {
  const labels = Object.keys(probabilities);
  const which = labels.length === 2 && areNamed(labels) ? "neither" : "none";
  return text(`answer.${which}${form}`, { labels, label: prediction, count: formatNumber(labels.length) });
}

/** What stands below the headline. */
export function noteOf(answer) {
  if (!answer.recognized) return unrecognized(answer, ".note");
  return isBoth(answer) ? text("answer.both.note") : "";
}

/** The same in a word or two, for small places. */
export const noneOf = ({ probabilities }) => text(Object.keys(probabilities).length === 2 ? "tile.neither" : "tile.none");

export const labelled = (label) => text("answer.label", { label });

/** What a photo counts as in a batch: a label, several, none of them, no answer, or nothing yet. */
export function groupOf({ state, answer }) {
  if (state !== "answered" && state !== "failed") return null;
  if (!answer) return "failed";
  if (!answer.recognized) return "none";
  return isBoth(answer) ? "both" : `label:${answer.prediction}`;
}

/** The name of such a group. */
function groupName(group, answer) {
  if (group === "failed") return text("batch.failed");
  if (group === "none") return noneOf(answer);
  return group === "both" ? text("tile.both") : shown(group.slice("label:".length));
}

/** How many photos are in each group, the most frequent label first, then those of several, of none, without answer. */
export function groups(items) {
  const found = new Map();
  for (const item of items) {
    const group = groupOf(item);
    if (!group) continue;
    const entry = found.get(group) ?? { group, count: 0, name: groupName(group, item.answer) };
    entry.count++;
    found.set(group, entry);
  }
  const last = ["both", "none", "failed"];
  const rank = ({ group }) => last.indexOf(group);
  return [...found.values()].sort((a, b) => rank(a) - rank(b) || b.count - a.count);
}

/** The same as words: "2 × tulip", "1 × no answer"; of many labels the most frequent, and the rest as one. */
export function counts(items) {
  const all = groups(items);
  const labels = all.filter(({ group }) => group.startsWith("label:"));
  const inView = labels.length > LABELS_COUNTED + 1 ? LABELS_COUNTED : labels.length;
  const others = labels.slice(inView).reduce((sum, { count }) => sum + count, 0);
  const counted = ({ name, count }) => text("batch.count", { name, count: formatNumber(count) });
  return [
    ...labels.slice(0, inView).map(counted),
    ...(others ? [text("batch.others", { count: formatNumber(others) })] : []),
    ...all.filter(({ group }) => !group.startsWith("label:")).map(counted),
  ];
}
