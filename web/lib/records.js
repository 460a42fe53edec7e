// Answers as files: JSON for programs, CSV for tables.

import { problemText } from "./problem.js";

/** One answer, with what was sent; `heat` keeps the heat maps. */
export function record({ name, photo, by, answer, network, problem }, heat = true) {
  if (!answer) return { file: name, error: problemText(problem) };
  const { heatmap, heatmaps, ...rest } = answer;
  const maps = heat ? { ...(heatmap ? { heatmap } : {}), ...(heatmaps ? { heatmaps } : {}) } : {};
  return {
    file: name,
    bytes: photo.bytes,
    sent_bytes: by === "browser" ? 0 : (photo.blob?.size ?? photo.size),
    answered_by: by,
    network_ms: Math.round(network),
    ...rest,
    ...maps,
  };
}

const BOM = "\ufeff";

/** Answers as a table, a row for each photo: RFC 4180, with a byte order mark so that Excel reads its letters. */
export function csv(items) {
  const labels = Object.keys(items.find(({ answer }) => answer)?.answer.probabilities ?? {});
  const head = ["file", "prediction", "confidence", "recognized", "present", ...labels.map((label) => `p(${label})`), "model_version", "answered_by", "error"];
  const rows = items.map((item) => row(item, labels));
  return BOM + [head, ...rows].map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}

function row({ name, answer, by, problem }, labels) {
  if (!answer) return [name, "", "", "", "", ...labels.map(() => ""), "", "", problem ? problemText(problem) : ""];
  const { prediction, confidence, recognized, probabilities, model_version: version } = answer;
  const present = answer.present ?? (recognized ? [prediction] : []);
  return [name, prediction, confidence, recognized, present.join(" "), ...labels.map((label) => probabilities[label] ?? ""), version, by, ""];
}

/** Spreadsheets run what begins like a formula; a file's name may. */
function cell(value) {
  const words = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}
