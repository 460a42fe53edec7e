// What can be done with the photo on the stage: wait no longer, try again, go on to the next, share, crop, copy, save, say
// whether it was right.

import { announce, byId, copy, save, show } from "../lib/dom.js";
import { ANSWERED_ELSEWHERE, FINAL, SOLVED_BY_SETTINGS } from "../lib/problem.js";
import { record } from "../lib/records.js";
import { text } from "../lib/text.js";

const COPIED_MS = 2000;
/** So far a finger goes sideways before it is a swipe. */
const SWIPE_PX = 60;
const SAMPLES_OF_CODE = ["curl", "python", "javascript"];

export class Actions {
  #page;
  #session;
  #panels = null;

  constructor(page, session) {
    this.#page = page;
    this.#session = session;
    const on = (id, act) => byId(id).addEventListener("click", act);
    on("cancel", () => session.cancel());
    on("retry", () => session.retry([session.selected]));
    on("fix-settings", () => page.openSettings());
    on("use-browser", () => this.#answerBy("browser"));
    on("use-api", () => this.#answerBy("api"));
    on("previous", () => this.#step(-1));
    on("next", () => this.#step(1));
    on("to-list", () => session.batch.reveal(session.selected));
    on("save-json", () => save(`${session.selected.name}.json`, "application/json", JSON.stringify(record(session.selected), null, 2)));
    on("share", async () => (await import("./share.js")).share(session.selected, session.stage.base));
    on("crop", async () => (await import("./crop.js")).crop(session));
    for (const kind of SAMPLES_OF_CODE) on(`copy-${kind}`, (event) => this.#copyCode(kind, event.currentTarget));
    this.#listenForSteps();
  }

  render(item) {
    if (!item) return;
    const { state, problem, where, answer } = item;
    const { place } = this.#page;
    const [failed, answered] = [state === "failed", state === "answered"];
    show({
      cancel: state === "busy" || state === "waiting",
      retry: failed && !FINAL.has(problem.kind),
      "fix-settings": failed && where === "api" && SOLVED_BY_SETTINGS.has(problem.kind) && problem.kind !== "offline",
      "use-browser": failed && where === "api" && ANSWERED_ELSEWHERE.has(problem.kind),
      "use-api": failed && where === "browser" && !place.alone && place.status.kind === "ready",
      share: answered && item.photo.opened,
      crop: answered && item.photo.opened,
      code: answered && !place.alone,
      command: false,
    });
    this.#steps(item);
    if (answered) this.#besides(item, answer);
  }

  /** What stands beside the API, where something does: feedback, and a writer. */
  async #besides(item) {
    this.#panels ??= import("./services.js").then(({ panels }) => panels(this.#page));
    const render = await this.#panels.catch(() => null);
    if (this.#session.selected === item) render?.(item);
  }

  #steps(item) {
    const { order, current } = this.#session;
    const place = order.indexOf(item);
    show({ viewer: order.length > 1 && place >= 0, "to-list": current.includes(item) });
    byId("position").textContent = text("viewer.position", { at: place + 1, count: order.length });
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place >= order.length - 1;
  }

  #step(by) {
    const { order, selected } = this.#session;
    const next = order[order.indexOf(selected) + by];
    if (next) this.#session.select(next);
  }

  #listenForSteps() {
    addEventListener("keydown", (event) => {
      const { key, target } = event;
      const taken = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || target.closest?.("input, select, textarea, dialog, [data-keys]");
      if (taken || byId("viewer").hidden || byId("stage").hidden) return;
      const forward = getComputedStyle(document.documentElement).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
      if (key === "ArrowLeft" || key === "ArrowRight") this.#step(key === forward ? 1 : -1);
      else if (key === "Escape" && !byId("to-list").hidden) this.#session.batch.reveal(this.#session.selected);
      else return;
      event.preventDefault();
    });
    let start = null;
    byId("frame").addEventListener("touchstart", ({ touches }) => (start = touches.length === 1 ? touches[0] : null), { passive: true });
    byId("frame").addEventListener("touchend", ({ changedTouches: [end] }) => {
      const [x, y] = start ? [end.clientX - start.clientX, end.clientY - start.clientY] : [0, 0];
      start = null;
      if (byId("viewer").hidden || byId("frame").hasAttribute("data-crop") || Math.abs(x) < SWIPE_PX || Math.abs(x) < 2 * Math.abs(y)) return;
      this.#step(x < 0 ? 1 : -1);
    });
  }

  #answerBy(where) {
    this.#page.place.choose(where);
    this.#session.retry([this.#session.selected], where);
  }

  async #copyCode(kind, button) {
    const { codeFor } = await import("../lib/code.js");
    const command = codeFor(kind, this.#page.settings.api, this.#session.selected.name);
    if (await copy(command)) {
      const words = button.textContent;
      button.textContent = text("action.copied");
      announce(text("action.copied"));
      setTimeout(() => (button.textContent = words), COPIED_MS);
      return;
    }
    show({ command: true });
    byId("command-text").value = command;
    byId("command-text").select();
  }
}
