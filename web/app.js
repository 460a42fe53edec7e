// The page at its start: the words, the settings, whether the server can be asked, and the ways in for photos. What happens
// with a photo is in session.js, which comes with the first one.

import { modelInfo } from "./lib/api.js";
import { byId, show } from "./lib/dom.js";
import { loadSettings, remembered } from "./lib/settings.js";
import { fillIn, formatLargeNumber, formatPercent, text } from "./lib/text.js";
import { Classes } from "./view/classes.js";
import { Place } from "./view/place.js";

/** A screen with room for an example beside the question; style.css has the same. */
const ROOMY = "(min-width: 64rem) and (min-height: 36rem)";

async function start() {
  fillIn(document);
  document.documentElement.dataset.theme = remembered("theme") ?? "system";
  if (navigator.maxTouchPoints > 0) document.body.dataset.touch = "";
  if ("webkitdirectory" in byId("folder") && navigator.maxTouchPoints === 0) show({ "choose-folder": true });
  show({ "choose-live": Boolean(navigator.mediaDevices?.getUserMedia) });
  const page = new Page(await loadSettings());
  page.listen();
  // Shown only now, in its final shape, so that nothing jumps.
  byId("boot").remove();
  show({ page: true });
  // After the page itself, whose own files come first.
  if (document.readyState !== "complete") await new Promise((resolve) => addEventListener("load", resolve, { once: true }));
  page.offerExample();
  import("./lib/offline.js").then(({ keepOffline }) => keepOffline(page)).catch(() => {});
}

/** What the parts of the page share: settings, who answers, the models, and the session once there is one. */
class Page {
  /** What is known of the model of each place: undefined until it has told, null when it could not. */
  models = { api: undefined, browser: undefined };
  #asking = new Set();
  #session = null;
  #started = null;
  #example = null;
  #mayOffer = false;

  constructor(settings) {
    this.settings = settings;
    this.classes = new Classes((sample) => this.askSample(sample));
    this.place = new Place(settings, () => this.#changed());
  }

  /** The session, loaded when it is first wanted. */
  session() {
    this.#session ??= import("./session.js").then(({ Session }) => (this.#started = new Session(this)));
    // A script that could not be fetched may come next time.
    this.#session.catch(() => (this.#session = null));
    return this.#session;
  }

  async ask(files) {
    if (!files.length) return;
    this.hint("");
    this.#example?.then((example) => example.stop(), () => {});
    this.#loadModel();
    try {
      (await this.session()).ask(files);
    } catch {
      this.hint(text(navigator.onLine ? "problem.part" : "problem.part.offline"));
    }
  }

  /** Where this device answers, its model comes while the photo is read: nobody waits for one after the other. */
  #loadModel() {
    if (this.place.where === "browser") this.place.load().catch(() => {});
  }

  hint(message) {
    byId("drop-message").textContent = message;
  }

  async openSettings() {
    const { settingsDialog } = await import("./view/dialog.js");
    this.dialog ??= settingsDialog(this.settings, () => this.#takeSettings());
    this.dialog();
  }

  listen() {
    this.place.start();
    for (const [button, input] of [["choose-files", "files"], ["choose-camera", "camera"], ["choose-folder", "folder"]]) {
      byId(button).addEventListener("click", () => byId(input).click());
      byId(input).addEventListener("change", async ({ target }) => {
        const files = [...target.files];
        // The same file may be chosen again.
        target.value = "";
        if (input === "folder") return this.#askFolder(files);
        this.ask(files);
      });
    }
    byId("footer-card").addEventListener("click", async () => (await import("./view/card.js")).openCard(this.shownModel.metadata));
    byId("choose-live").addEventListener("click", async () => (await import("./view/camera.js")).openCamera(this));
    for (const id of ["open-settings", "notice-settings"]) byId(id).addEventListener("click", () => this.openSettings());
    addEventListener("paste", (event) => this.#paste(event));
    this.#listenForDrops();
    // Somebody is about to choose: what comes next may come now.
    const soon = () => {
      this.session().catch(() => {});
      if (!navigator.connection?.saveData) this.#loadModel();
    };
    for (const sign of ["pointerdown", "keydown", "dragenter"]) addEventListener(sign, soon, { once: true, passive: true });
  }

  #listenForDrops() {
    addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.dataset.dragging = "";
    });
    addEventListener("dragleave", ({ relatedTarget }) => {
      if (!relatedTarget) delete document.body.dataset.dragging;
    });
    addEventListener("drop", async (event) => {
      event.preventDefault();
      delete document.body.dataset.dragging;
      // What was dropped is gone after this event: it is taken hold of at once, and read when the code for that is here.
      const { files, types, items } = event.dataTransfer;
      const held = {
        files: [...files],
        entries: [...(items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean),
        text: types.includes("text/uri-list") ? event.dataTransfer.getData("text/uri-list") : "",
      };
      const { filesOf } = await import("./lib/incoming.js");
      const { found, leftOut } = await filesOf(held);
      if (!found.length) return this.hint(text("choose.noFile"));
      await this.ask(found);
      if (leftOut) this.hint(text("choose.leftOut", { count: leftOut }));
    });
  }

  async #paste(event) {
    const { clipboardData, target } = event;
    const field = target.closest?.("input, textarea, [contenteditable]");
    const files = [...(clipboardData?.files ?? [])];
    // A dialog over the page is what people look at: nothing happens behind it.
    if (document.querySelector("dialog[open]")) return;
    if (files.length) return this.ask(files);
    if (field) return;
    const words = clipboardData?.getData("text/plain") ?? "";
    if (!/^\s*https?:/i.test(words)) return;
    const { addressesIn } = await import("./lib/incoming.js");
    this.ask(addressesIn(words));
  }

  async #askFolder(files) {
    const { onlyPhotos } = await import("./lib/incoming.js");
    const { found, leftOut } = onlyPhotos(files);
    if (!found.length) return this.hint(text("choose.noPhotos"));
    await this.ask(found);
    if (leftOut) this.hint(text("choose.leftOut", { count: leftOut }));
  }

  async askSample(sample) {
    const name = `${sample}.jpg`;
    try {
      const response = await fetch(`samples/${name}`);
      if (!response.ok) throw new Error(response.statusText);
      this.ask([new File([await response.blob()], name, { type: "image/jpeg" })]);
    } catch {
      this.hint(text("problem.sample"));
    }
  }

  #changed() {
    this.#started?.placeChanged();
    this.renderModel();
  }

  #takeSettings() {
    this.models.api = undefined;
    this.#asking.clear();
    this.place.render();
    this.place.status.check();
    this.#started?.settingsChanged();
  }

  // --- the model

  /** Shows the model of the place that answers, or of the other one until this one has told; asks where nothing is known. */
  renderModel() {
    const { models, place } = this;
    const { status, where } = place;
    if (status.kind === "ready") this.#describe("api");
    if (place.local?.description) models.browser = modelOf(place.local.description);
    if (place.standIn !== Boolean(models.browser)) {
      place.standIn = Boolean(models.browser);
      place.render();
    }
    const known = models[where] ?? models.api ?? models.browser;
    const last = where === "browser" || status.kind === "problem" || models.api === null ? "browser" : "api";
    if (!known && last === "browser") this.#describe("browser");
    this.classes.render(known ? known.labels : models[last]);
    byId("footer-model").textContent = known ? modelText(known) : "";
    show({ "footer-card": Boolean(known) });
    this.shownModel = known;
    this.#showExample();
  }

  /** From now on the page has time for an example: its own files are here. */
  offerExample() {
    this.#mayOffer = true;
    this.#showExample();
  }

  async #showExample() {
    if (navigator.connection?.saveData) return show({ example: false });
    if (!this.#mayOffer || this.#started?.selected || !this.classes.example || !matchMedia(ROOMY).matches) return;
    try {
      this.#example ??= import("./view/example.js").then(({ Example }) => new Example(this));
      (await this.#example).update();
    } catch {
      // It is only an example.
      show({ example: false });
    }
  }

  /** Asks a place about its model, once. */
  async #describe(where) {
    if (this.models[where] !== undefined || this.#asking.has(where)) return;
    this.#asking.add(where);
    const { api } = this.settings;
    const metadata = await (where === "api" ? this.#describeThere() : this.#describeHere()).catch(() => null);
    // Meanwhile the settings may name another API, which has been asked since.
    if (api !== this.settings.api) return;
    this.#asking.delete(where);
    // The network itself may have come first, with more certain news.
    this.models[where] ??= metadata && modelOf(metadata);
    this.renderModel();
  }

  async #describeThere() {
    return (await modelInfo(this.settings))?.metadata ?? null;
  }

  async #describeHere() {
    const { publishedModel } = await import("./local/network.js");
    return (await publishedModel()).description;
  }
}

/** What the page needs of metadata.json. */
const modelOf = (metadata) => ({
  labels: metadata.labels.map(String),
  version: metadata.version,
  parameters: metadata.parameters,
  accuracy: metadata.metrics?.test?.accuracy,
  metadata,
});

function modelText({ version, parameters, accuracy }) {
  if (!accuracy || !parameters) return text("footer.model.short", { version });
  return text("footer.model", { version, parameters: formatLargeNumber(parameters), accuracy: formatPercent(accuracy) });
}

start();
