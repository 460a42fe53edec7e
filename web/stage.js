// The photo at hand, large, with its answer: what the network says, how sure it is, and where it looked.

import { byId, element, show } from "./dom.js";
import { hostOf } from "./api.js";
import { canvasOf } from "./photo.js";
import { formatBytes, formatDuration, formatNumber, formatProbability, text } from "./strings.js";

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

/** An answer as people say it: "Cat, 98.2% sure". */
export function answerText({ prediction, confidence, recognized, probabilities }) {
  if (!recognized) return unrecognized({ prediction, probabilities });
  const label = text("answer.label", { label: prediction });
  return text("answer.say", { label, confidence: formatProbability(confidence) });
}

const unrecognized = ({ prediction, probabilities }) =>
  text("answer.unrecognized.note", { labels: Object.keys(probabilities), guess: prediction });

/** The part of the page that shows one item (see app.js for what an item is). */
export class Stage {
  #item = null;
  #drawn = null;
  #base = null;

  constructor() {
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
    byId("verdict").textContent = headline(item);
    byId("verdict-sure").textContent = answer?.recognized
      ? text("answer.sure", { confidence: formatProbability(answer.confidence) })
      : "";
    byId("verdict-note").textContent = note(item);
    show({ "verdict-busy": busy, "verdict-sure": Boolean(answer?.recognized), command: false });
  }

  #bars(answer) {
    const entries = Object.entries(answer?.probabilities ?? {}).sort(([, a], [, b]) => b - a);
    byId("bars").hidden = !answer;
    byId("bars").replaceChildren(...entries.map(([label, value]) => bar(label, value, answer.recognized && label === answer.prediction)));
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
  const labels = Object.keys(answer.probabilities);
  return text(answer.recognized ? "answer.label" : "answer.unrecognized", { label: answer.prediction, labels });
}

function note({ state, where, problem, answer, photo, slow }) {
  if (state === "waiting") return text("answer.waiting");
  if (state === "busy") return text(where === "browser" ? "answer.busy.browser" : slow ? "answer.busy.slow" : "answer.busy.api");
  if (state === "failed") return photo?.heic && problem.kind === "unreadable" ? text("problem.heic") : problemText(problem);
  return answer.recognized ? "" : unrecognized(answer);
}

function bar(label, value, first) {
  const meter = element("span", {
    className: "bar-track",
    role: "meter",
    "aria-label": label,
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

/** How many of each label, as words: "2 × cat", "1 × neither". */
export function counts(items) {
  const found = new Map();
  for (const { state, answer } of items) {
    if (state !== "answered" && state !== "failed") continue;
    const label = !answer ? text("batch.failed") : answer.recognized ? answer.prediction : text("batch.neither");
    found.set(label, (found.get(label) ?? 0) + 1);
  }
  return [...found].map(([label, count]) => text("batch.count", { label, count: formatNumber(count) }));
}

