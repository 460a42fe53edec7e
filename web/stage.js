// The photo at hand, large, with its answer: what the network says, how sure it is, and where it looked.

import { byId, element, show } from "./dom.js";
import { hostOf } from "./api.js";
import { canvasOf } from "./photo.js";
import { areNamed, formatBytes, formatDuration, formatNumber, formatProbability, shown, text } from "./strings.js";

/** The likeliest classes have their bars in view; the rest is folded away. A single one left over is not worth a fold. */
const BARS_IN_VIEW = 5;
/** Of a batch the most frequent labels are counted by name. */
const LABELS_COUNTED = 5;
/** From so many characters on a label takes smaller letters as a headline. */
const LONG_HEADLINE = 24;

/** What helps against which problem. */
const FIXED_IN_SETTINGS = new Set(["keyNeeded", "keyWrong", "mixed", "notPurrdict", "webPage", "down", "localNetwork"]);
const FIXED_BY_BROWSER = new Set([
  ...["cors", "ngrok", "localNetwork", "localNetworkDenied", "down", "timeout", "webPage"],
  ...["noModel", "unavailable", "server", "mixed", "notPurrdict", "rate"],
]);
const FINAL = new Set(["notPhoto", "empty", "heic", "undecodable", "unreadable", "tooLarge"]);

/** A problem as a sentence. */
export function problemText({ kind, values = {} }) {
  if (kind === "server") {
    const request = values.id ? text("problem.server.request", { id: values.id }) : "";
    return text("problem.server", { ...values, request });
  }
  const bytes = values.bytes && formatBytes(values.bytes);
  return text(`problem.${kind}`, { ...values, bytes });
}

/** An answer as people say it: "Tulip, 98.2% sure". */
export function answerText({ prediction, confidence, recognized, probabilities }) {
  if (!recognized) return unrecognized({ prediction, probabilities }, ".note");
  const label = text("answer.label", { label: prediction });
  return text("answer.say", { label, confidence: formatProbability(confidence) });
}

/** That a photo shows none of the labels: of two they are named, of more they are counted. */
function unrecognized({ prediction, probabilities }, form = "") {
  const labels = Object.keys(probabilities);
  const which = labels.length === 2 && areNamed(labels) ? "neither" : "none";
  return text(`answer.${which}${form}`, { labels, label: prediction, count: formatNumber(labels.length) });
}

/** The same in a word or two, for small places. */
export const noneOf = ({ probabilities }) => text(Object.keys(probabilities).length === 2 ? "tile.neither" : "tile.none");

/** The part of the page that shows one item (see app.js for what an item is). */
export class Stage {
  #item = null;
  #drawn = null;
  #base = null;
  #rest = [];

  constructor() {
    byId("rest").addEventListener("toggle", () => this.#fillRest());
    byId("heat-switch").addEventListener("change", () => this.#paint());
  }

  /** Shows an item as it is now. Call again when it has changed. */
  render(item) {
    this.#item = item;
    show({ stage: Boolean(item) });
    if (!item) return;
    byId("stage").dataset.state = item.state;
    byId("photo-name").textContent = item.name;
    this.#words(item);
    this.#bars(item.answer);
    this.#heat(item.answer);
    this.#facts(item);
    this.#actions(item);
    this.#draw(item);
  }

  #words(item) {
    const busy = item.state === "busy" || item.state === "waiting";
    const { answer } = item;
    const words = headline(item);
    byId("verdict").textContent = words;
    byId("verdict").toggleAttribute("data-long", words.length > LONG_HEADLINE);
    byId("verdict-sure").textContent = answer?.recognized
      ? text("answer.sure", { confidence: formatProbability(answer.confidence) })
      : "";
    byId("verdict-note").textContent = note(item);
    show({ "verdict-busy": busy, "verdict-sure": Boolean(answer?.recognized), command: false });
  }

  #bars(answer) {
    const entries = Object.entries(answer?.probabilities ?? {}).sort(([, a], [, b]) => b - a);
    const likely = (label) => answer.recognized && label === answer.prediction;
    const bars = entries.map(([label, value]) => () => bar(label, value, likely(label)));
    const inView = bars.length > BARS_IN_VIEW + 1 ? BARS_IN_VIEW : bars.length;
    byId("bars").replaceChildren(...bars.slice(0, inView).map((make) => make()));
    this.#rest = bars.slice(inView);
    show({ bars: Boolean(answer), rest: this.#rest.length > 0 });
    const together = entries.slice(inView).reduce((sum, [, value]) => sum + value, 0);
    byId("rest-title").textContent = text("answer.rest", {
      count: formatNumber(this.#rest.length),
      together: formatProbability(together),
    });
    this.#fillRest();
  }

  /** Filled only while it is open: there may be a thousand. */
  #fillRest() {
    byId("rest-bars").replaceChildren(...(byId("rest").open ? this.#rest.map((make) => make()) : []));
  }

  #heat(answer) {
    show({ heat: Boolean(answer?.heatmap) });
    if (answer?.heatmap) byId("heat-label").textContent = text("heat.legend", { label: answer.heatmap.label });
  }

  #facts(item) {
    const facts = item.state === "answered" ? factsOf(item) : [];
    byId("facts").hidden = facts.length === 0;
    byId("facts").replaceChildren(
      ...facts.map(([name, value]) => element("div", {}, element("dt", {}, text(name)), element("dd", {}, value))),
    );
  }

  #actions({ state, problem, where, answer }) {
    const failed = state === "failed";
    show({
      cancel: state === "busy" || state === "waiting",
      retry: failed && !FINAL.has(problem.kind),
      "fix-settings": failed && FIXED_IN_SETTINGS.has(problem.kind),
      "use-browser": failed && where === "api" && FIXED_BY_BROWSER.has(problem.kind),
      "copy-curl": Boolean(answer),
      "save-json": Boolean(answer),
    });
  }

  /** The photo is decoded anew each time it is shown: a visit's worth of large canvases would fill a phone's memory. */
  async #draw(item) {
    const blob = item.photo?.opened ? item.photo.blob : null;
    if (this.#drawn !== item || !this.#base) {
      this.#drawn = item;
      this.#base = null;
      const canvas = blob && (await canvasOf(blob));
      if (this.#item !== item) return;
      this.#base = canvas;
      // Not yet read: a later call has the photo.
      if (!blob) this.#drawn = null;
    }
    await this.#paint();
  }

  async #paint() {
    const [item, base, canvas] = [this.#item, this.#base, byId("photo")];
    const heatmap = byId("heat-switch").checked ? item.answer?.heatmap : null;
    show({ photo: Boolean(base), "photo-none": !base && Boolean(item.photo), "heat-legend": byId("heat-switch").checked });
    byId("stage").dataset.photo = base ? "shown" : item.photo ? "unopened" : "none";
    if (!base) return;
    const { drawHeatmap, hottestPlace } = heatmap ? await import("./heatmap.js") : {};
    if (this.#item !== item || this.#base !== base) return;
    canvas.width = base.width;
    canvas.height = base.height;
    canvas.getContext("2d").drawImage(base, 0, 0);
    if (heatmap) drawHeatmap(canvas, heatmap);
    canvas.setAttribute("aria-label", photoLabel(item, heatmap, hottestPlace));
  }
}

function headline({ state, answer }) {
  if (state === "failed") return text("answer.failed");
  if (!answer) return text("answer.busy");
  return answer.recognized ? text("answer.label", { label: answer.prediction }) : unrecognized(answer);
}

function note({ state, where, problem, answer, photo, slow }) {
  if (state === "waiting") return text("answer.waiting");
  if (state === "busy") return text(where === "browser" ? "answer.busy.browser" : slow ? "answer.busy.slow" : "answer.busy.api");
  if (state === "failed") return photo?.heic && problem.kind === "unreadable" ? text("problem.heic") : problemText(problem);
  return answer.recognized ? "" : unrecognized(answer, ".note");
}

function bar(label, value, first) {
  const meter = element("span", {
    className: "bar-track",
    role: "meter",
    "aria-label": shown(label),
    "aria-valuemin": "0",
    "aria-valuemax": "100",
    "aria-valuenow": (value * 100).toFixed(1),
    "aria-valuetext": formatProbability(value),
  });
  const fill = element("span", { className: "bar-fill" });
  fill.style.width = `${value * 100}%`;
  meter.append(fill);
  return element(
    "li",
    { className: first ? "bar first" : "bar" },
    element("span", { className: "bar-label" }, text("answer.label", { label })),
    element("span", { className: "bar-value" }, formatProbability(value)),
    meter,
  );
}

function factsOf({ photo, answer, where, network, api }) {
  const shrunk = photo.blob.size !== photo.bytes;
  const here = where === "browser";
  const sizes = {
    width: formatNumber(photo.width ?? 0),
    height: formatNumber(photo.height ?? 0),
    toWidth: formatNumber(photo.sentWidth ?? 0),
    toHeight: formatNumber(photo.sentHeight ?? 0),
  };
  const sent = text(here ? "fact.sent.nothing" : shrunk ? "fact.sent.shrunk" : "fact.sent.whole", {
    from: formatBytes(photo.bytes),
    to: formatBytes(photo.blob.size),
  });
  const facts = [["fact.sent", sent]];
  if (photo.opened) {
    const same = photo.width === photo.sentWidth;
    facts.push(["fact.size", text(same ? "fact.size.same" : "fact.size.shrunk", sizes)]);
  }
  facts.push(
    ["fact.network", here ? text("fact.network.none") : formatDuration(network)],
    ["fact.model", formatDuration(answer.processing_time_ms)],
    ["fact.by", text(`fact.by.${where}`, { host: here ? "" : hostOf(api), version: answer.model_version })],
  );
  return facts;
}

function photoLabel({ name, answer }, heatmap, hottestPlace) {
  if (!heatmap) return text("answer.photo", { name });
  const place = hottestPlace(heatmap);
  const label = answer.heatmap.label;
  if (!place) return text("answer.photo.cold", { name, label });
  return text("answer.photo.heat", { name, label, place: text(`place.${place.join(".")}`) });
}

/** How many of each label, as words: "2 × tulip", "1 × no answer"; of many labels the most frequent, and the rest as one. */
export function counts(items) {
  const found = new Map();
  const none = [];
  let failed = 0;
  for (const { state, answer } of items) {
    if (state !== "answered" && state !== "failed") continue;
    if (!answer) failed++;
    else if (!answer.recognized) none.push(answer);
    else found.set(answer.prediction, (found.get(answer.prediction) ?? 0) + 1);
  }
  const labels = [...found].sort(([, a], [, b]) => b - a);
  const inView = labels.length > LABELS_COUNTED + 1 ? LABELS_COUNTED : labels.length;
  const others = labels.slice(inView).reduce((sum, [, count]) => sum + count, 0);
  const counted = (label, count) => text("batch.count", { label, count: formatNumber(count) });
  return [
    ...labels.slice(0, inView).map(([label, count]) => counted(label, count)),
    ...(others ? [text("batch.others", { count: formatNumber(others) })] : []),
    ...(none.length ? [counted(noneOf(none[0]), none.length)] : []),
    ...(failed ? [counted(text("batch.failed"), failed)] : []),
  ];
}
