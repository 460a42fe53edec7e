// The example of the first screen: where a screen has room, the first sample with the answer that the model gives to it
// now. It is asked about when the page has nothing else to do, and makes way when somebody brings a photo.

import { predict } from "../lib/api.js";
import { byId, setText, show } from "../lib/dom.js";
import { keyFor } from "../lib/settings.js";
import { formatProbability, text } from "../lib/text.js";
import { drawHeatmap, mapsOf } from "./heatmap.js";

export class Example {
  #page;
  #shown = null;
  #abort = null;

  constructor(page) {
    this.#page = page;
    byId("example-open").addEventListener("click", () => page.askSample(page.classes.example));
  }

  /** Shows what can be had now; call again when who answers, or what is known of the model, has changed. */
  update() {
    const { place, classes } = this.#page;
    if (place.status.kind === "waking" && this.#shown) return;
    const who = this.#who();
    const wanted = who && classes.example && `${classes.example} ${who}`;
    show({ example: Boolean(wanted) });
    if (!wanted || wanted === this.#shown) return;
    this.#shown = wanted;
    this.#fill(classes.example, who).catch(() => {
      if (this.#shown === wanted) show({ example: false });
    });
  }

  /** Somebody has brought a photo of their own: that comes first. */
  stop() {
    this.#abort?.abort();
  }

  /** Who can answer without waiting: a server that is ready, or the model on this device once it is loaded. */
  #who() {
    const { place, settings } = this.#page;
    const { status, local, where, chosen } = place;
    const server = status.kind === "ready" && !(status.health?.key_required && !keyFor(settings.api));
    if (where === "api" && server) return settings.api;
    return local?.ready && (where === "browser" || !chosen) ? "browser" : null;
  }

  async #fill(name, who) {
    await idle();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const response = await fetch(`samples/${name}.jpg`, { priority: "low", signal });
    if (!response.ok) throw new Error(response.statusText);
    const blob = await response.blob();
    const { place, settings } = this.#page;
    const answered = who === "browser" ? place.local.ready.predict(blob) : predict(settings, blob, `${name}.jpg`, signal);
    const [result] = await Promise.all([answered, pictureOf(blob)]);
    await this.#show(name, result.answer ?? result);
  }

  async #show(name, answer) {
    const [photo, glow] = [byId("example-photo"), byId("example-glow")];
    Object.assign(glow, { width: photo.naturalWidth, height: photo.naturalHeight });
    if (answer.heatmap) drawHeatmap(glow, mapsOf(answer));
    const words = await said(answer);
    setText("example-answer", words);
    byId("example-open").setAttribute("aria-label", text("example.open", { name: text(`sample.${name}`), answer: words }));
    byId("example").removeAttribute("data-waiting");
    byId("example").toggleAttribute("data-warm", Boolean(answer.heatmap));
  }
}

/** What most answers say; the words for the others are fetched when one comes. */
async function said(answer) {
  const plain = answer.recognized && (answer.present?.length ?? 1) === 1;
  if (!plain) return (await import("./answer.js")).answerText(answer);
  return text("answer.say", { label: text("answer.label", { label: answer.prediction }), confidence: formatProbability(answer.confidence) });
}

async function pictureOf(blob) {
  const photo = byId("example-photo");
  const url = URL.createObjectURL(blob);
  photo.src = url;
  await photo.decode();
  URL.revokeObjectURL(url);
}

const idle = () =>
  new Promise((resolve) => (globalThis.requestIdleCallback ? requestIdleCallback(resolve, { timeout: 2000 }) : setTimeout(resolve, 200)));
