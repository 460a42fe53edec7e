// The page's words, numbers and sizes as people read them. The words themselves are in words/, a file for each language;
// the page takes the language that was chosen, or the first of the browser's that is here. `{name}` is filled in. The
// values `label` and `labels` come as the model has them, and are shown as people write them.

import { remembered } from "./settings.js";

/** The languages of words/, each by its own name. */
export const LANGUAGES = { en: "English", de: "Deutsch" };

const wanted = [remembered("language"), ...(globalThis.navigator?.languages ?? [])];
export const language = wanted.map((tag) => tag?.split("-")[0]).find((tag) => tag in LANGUAGES) ?? "en";
const { words: strings } = await import(`../words/${language}.js`);

/** Begins a sentence or a line. A first word with a capital further on, like iPhone, is a name and stays. */
const capital = (words) => (/^\p{Ll}[^\p{Lu}\s]*(\s|$)/u.test(words) ? words.replace(/^./u, (letter) => letter.toUpperCase()) : words);

/** The text under `key`, with `{name}` replaced by `values.name`. An unknown key is a mistake and throws. */
export function text(key, values = {}) {
  const entry = strings[key];
  if (entry === undefined) throw new Error(`No text for ${key}`);
  const words = { ...values };
  if (values.label !== undefined) words.label = shown(values.label);
  if (values.labels) words.labels = values.labels.map(shown);
  if (typeof entry === "function") return entry(words, capital);
  return entry.replace(/\{(\w+)\}/g, (_, name) => words[name] ?? "");
}

/** Letters that are written from right to left. Within a sentence they would carry its full stop along. */
const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Nko}\p{Script=Syriac}\p{Script=Thaana}]/u;
const [ISOLATE, END_OF_ISOLATE] = ["\u2068", "\u2069"];

/** A label as people read it: folders have underscores where they mean spaces (api/_labels.py does the same). */
export function shown(label) {
  const words = String(label).replace(/[_\s]+/g, " ").trim() || String(label);
  return RIGHT_TO_LEFT.test(words) ? ISOLATE + words + END_OF_ISOLATE : words;
}

const NAMED_AT_MOST = 5;
const NAMED_CHARACTERS = 60;

/** Whether these labels fit into a sentence. More, or longer ones, are counted (api/_labels.py does the same). */
export function areNamed(labels) {
  return labels.length <= NAMED_AT_MOST && [...labels.map(shown).join("")].length <= NAMED_CHARACTERS;
}

/** Words as a list within a sentence: "a, b, and c". */
export const listed = (words) => new Intl.ListFormat(language, { type: "conjunction" }).format(words);

/** Words side by side: "2 × cat, 1 × dog". */
export const listOfUnits = (words) => new Intl.ListFormat(language, { type: "unit" }).format(words);

/** Fills every element that names its text: data-text for the content, data-label for the accessible name. */
export function fillIn(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", text(element.dataset.label));
}

const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const decimal = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 2, compactDisplay: "long" });

/** A probability as people read it. Rounding must not turn "almost certain" into "certain". */
export function formatProbability(value) {
  if (value > 0.999 && value < 1) return `>${percent.format(0.999)}`;
  if (value < 0.001 && value > 0) return `<${percent.format(0.001)}`;
  return percent.format(value);
}

export const formatPercent = (value) => percent.format(value);
export const formatNumber = (value) => whole.format(value);
export const formatLargeNumber = (value) => compact.format(value);

/** Bytes in the unit that fits: 950 B, 38 kB, 4.2 MB (powers of 1000, as file managers show them). */
export function formatBytes(bytes) {
  if (bytes < 1000) return `${whole.format(bytes)}\u00a0B`;
  if (bytes < 1e6) return `${whole.format(bytes / 1000)}\u00a0kB`;
  return `${decimal.format(bytes / 1e6)}\u00a0MB`;
}

/** Milliseconds, in seconds from one second on. */
export function formatDuration(milliseconds) {
  if (milliseconds >= 1000) return `${decimal.format(milliseconds / 1000)}\u00a0s`;
  return `${milliseconds < 10 ? decimal.format(milliseconds) : whole.format(milliseconds)}\u00a0ms`;
}
