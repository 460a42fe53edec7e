// Who answers, the server or this device: the choice, what is known of both, and what helps where one is out of reach.

import { hostOf } from "../lib/api.js";
import { byId, setText, show } from "../lib/dom.js";
import { SOLVED_BY_SETTINGS, problemText } from "../lib/problem.js";
import { keyFor, remember, remembered } from "../lib/settings.js";
import { Status } from "../lib/status.js";
import { formatBytes, text } from "../lib/text.js";

/** Nobody named an API and nothing like one answers: a page published alone. */
const NO_API = new Set(["notPurrdict", "webPage"]);

export class Place {
  where = "api";
  /** The visitor has said who answers, so that nobody stands in for the server. */
  chosen = false;
  /** The page was published without an API: there is nothing to choose. */
  alone = false;
  /** Whether there is a model for this device. */
  standIn = false;
  local = null;
  #settings;
  #onChange;
  #quietKind = null;

  constructor(settings, onChange) {
    this.#settings = settings;
    this.#onChange = onChange;
    this.status = new Status(settings, () => this.#statusChanged());
  }

  /** Begins to look whether the server can be asked. */
  start() {
    const earlier = remembered("where");
    if (earlier) this.#take(earlier);
    for (const radio of document.querySelectorAll("[name=where]"))
      radio.addEventListener("change", () => this.choose(radio.value));
    byId("notice-retry").addEventListener("click", () => (this.where === "browser" ? this.load().catch(() => {}) : this.status.check()));
    byId("notice-browser").addEventListener("click", () => this.choose("browser"));
    this.render();
    this.status.check();
  }

  /** The visitor's own choice, kept for later visits. */
  choose(where) {
    remember("where", where);
    this.#take(where);
    if (where === "browser") this.load().catch(() => {});
    this.render();
    this.#onChange();
  }

  #take(where) {
    this.where = where;
    this.chosen = true;
    for (const radio of document.querySelectorAll("[name=where]")) radio.checked = radio.value === where;
  }

  /** The network on this device, ready to answer. @throws {Problem} */
  async load() {
    const { Local } = await import("../local/local.js");
    this.local ??= new Local(this.#settings, () => {
      this.render();
      this.#onChange();
    });
    return this.local.load();
  }

  /** What is known to be wrong with the server; null when nothing is. */
  trouble() {
    return this.status.problem;
  }

  /** Says nothing in the notice that the stage says of its photo already. */
  quiet(kind) {
    this.#quietKind = kind ?? null;
    this.render();
  }

  #statusChanged() {
    const { problem, kind } = this.status;
    const { unnamed } = this.#settings;
    this.alone = unnamed && kind === "problem" && NO_API.has(problem.kind);
    if (this.alone && !this.chosen) this.where = "browser";
    this.render();
    this.#onChange();
  }

  render() {
    const here = this.where === "browser";
    show({ where: !this.alone, "where-alone": this.alone, "footer-docs": !this.alone });
    if (!byId("footer-docs").hidden) byId("footer-docs").href = new URL("docs", this.#settings.api);
    for (const radio of document.querySelectorAll("[name=where]")) radio.checked = radio.value === this.where;
    const { progress, loading } = this.local ?? {};
    const note = here ? localNote(this.local) : text("where.api.note", { host: hostOf(this.#settings.api) });
    setText("where-note", note);
    setText("where-alone", note);
    show({ "where-progress": here && Boolean(loading) });
    byId("where-progress").value = progress ? progress.done / progress.total : 0;
    this.#renderStatus(here);
  }

  #renderStatus(here) {
    const [mood, key, problem] = here ? localStatus(this.local) : this.#apiStatus();
    byId("status").dataset.state = mood;
    setText("status-text", text(key));
    show({ notice: Boolean(problem) && this.#quietKind !== problem.kind });
    if (!problem) return;
    // What helps first, then what the reason is.
    const stand = !here && !this.chosen && this.standIn;
    setText("notice-text", stand ? `${problemText(problem)} ${text("where.standIn")}` : problemText(problem));
    show({
      "notice-settings": !here && SOLVED_BY_SETTINGS.has(problem.kind) && problem.kind !== "offline" && problem.kind !== "noModel",
      "notice-retry": problem.kind !== "keyNeeded",
      // Offline there is nothing to load the model from.
      "notice-browser": !here && (problem.kind !== "offline" || Boolean(this.local?.ready)),
    });
  }

  #apiStatus() {
    const { kind, slow, problem, health } = this.status;
    const key = kind === "ready" && health?.key_required && !keyFor(this.#settings.api);
    if (key) return ["problem", "status.key", { kind: "keyNeeded", values: {} }];
    if (kind === "ready") return ["ready", "status.ready"];
    if (kind === "waking") return ["waking", slow ? "status.slow" : "status.waking"];
    const known = { offline: "status.offline", noModel: "status.unhealthy", keyNeeded: "status.key", keyWrong: "status.key" };
    return ["problem", known[problem.kind] ?? "status.unreachable", problem];
  }
}

function localStatus(local) {
  if (local?.problem) return ["problem", "status.failed", local.problem];
  return local?.loading ? ["waking", "status.loading"] : ["ready", "status.browser"];
}

function localNote(local) {
  if (!local) return text("where.browser.later");
  if (local.problem) return text("where.browser.note");
  if (local.ready) return text("where.browser.ready");
  return loadingText(local);
}

/** How far the download of the model is. */
export function loadingText({ progress }) {
  if (!progress || progress.done >= progress.total) return text("where.browser.starting");
  return text("where.browser.loading", { done: formatBytes(progress.done), total: formatBytes(progress.total) });
}
