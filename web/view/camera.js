// The live camera: what this device sees in it, several times a second. Pictures stay here; one can be kept to ask about.

import { byId, element } from "../lib/dom.js";
import { Problem, problemText } from "../lib/problem.js";
import { text } from "../lib/text.js";
import { headlineOf } from "./answer.js";
import { probabilityRows } from "./bars.js";
import { loadingText } from "./place.js";

/** Between two looks, for the rest of the machine. */
const PAUSE_MS = 60;
/** The network sees a small square: a larger picture would only cost time. */
const SIDE = 480;
/** What getUserMedia calls its refusals, and the text for each. */
const REFUSED = {
  NotAllowedError: "cameraDenied",
  SecurityError: "cameraDenied",
  NotFoundError: "cameraMissing",
  OverconstrainedError: "cameraMissing",
  NotReadableError: "cameraBusy",
  AbortError: "cameraBusy",
};

let dialog = null;

/** Opens the camera over the page. */
export async function openCamera(page) {
  dialog ??= build(page);
  dialog.open();
}

function build(page) {
  const video = element("video", { muted: true, playsInline: true, autoplay: true, "aria-label": text("live.video") });
  const [verdict, note, bars] = [element("p", { className: "live-verdict" }), element("p", { className: "live-note", role: "status" }), element("ul", { className: "bars" })];
  const take = element("button", { type: "button", className: "button primary" }, text("live.take"));
  const close = element("button", { type: "button", className: "button" }, text("live.close"));
  const node = element("dialog", { className: "live", "aria-label": text("choose.live") }, video, verdict, bars, note, element("div", { className: "actions" }, take, close));
  byId("page").append(node);
  const live = new Live(page, { node, video, verdict, note, bars, take });
  close.addEventListener("click", () => node.close());
  node.addEventListener("close", () => live.stop());
  take.addEventListener("click", () => live.take());
  return live;
}

class Live {
  #page;
  #parts;
  #stream = null;
  #said = "";

  constructor(page, parts) {
    this.#page = page;
    this.#parts = parts;
  }

  async open() {
    const { node, video, verdict, note, bars, take } = this.#parts;
    verdict.textContent = note.textContent = "";
    bars.replaceChildren();
    take.disabled = true;
    node.showModal();
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
      if (!node.open) return this.stop();
      video.srcObject = this.#stream;
      await video.play();
      take.disabled = false;
      await this.#watch(this.#stream);
    } catch (error) {
      note.textContent = problemText(problemOf(error));
    }
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#parts.video.srcObject = null;
  }

  async #watch(stream) {
    const local = await this.#load(stream);
    while (this.#stream === stream) {
      const answer = await local.predict(await this.#frame());
      if (this.#stream !== stream) return;
      this.#show(answer);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #load(stream) {
    const { place } = this.#page;
    const told = setInterval(() => this.#stream === stream && place.local && (this.#parts.note.textContent = loadingText(place.local)), 250);
    try {
      return await place.load();
    } finally {
      clearInterval(told);
      this.#parts.note.textContent = text("by.browser.live");
    }
  }

  #frame() {
    const { video } = this.#parts;
    const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
    return createImageBitmap(video, { resizeWidth: Math.round(video.videoWidth * scale), resizeHeight: Math.round(video.videoHeight * scale) });
  }

  #show(answer) {
    const { verdict, bars, node } = this.#parts;
    const words = headlineOf(answer);
    if (words !== this.#said) verdict.textContent = this.#said = words;
    bars.replaceChildren(...probabilityRows(answer).inView);
    node.dataset.looks = Number(node.dataset.looks ?? 0) + 1;
  }

  /** Keeps what the camera sees now, and asks about it like any photo. */
  async take() {
    const { video, node } = this.#parts;
    const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
    node.close();
    this.#page.ask([new File([blob], `${text("live.name")}.jpg`, { type: "image/jpeg" })]);
  }
}

function problemOf(error) {
  if (error instanceof Problem) return error;
  return new Problem(REFUSED[error.name] ?? "unexpected", { detail: error.message });
}
