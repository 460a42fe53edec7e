// What happens with photos: they are asked about, shown, listed, compared, shared and saved. Comes with the first photo.

import { answering } from "./answering.js";
import { newId, predict } from "./lib/api.js";
import { announce, byId, show } from "./lib/dom.js";
import { fetchPhoto } from "./lib/incoming.js";
import { readPhoto } from "./lib/photo.js";
import { Problem, SOLVED_BY_SETTINGS, UNREACHABLE, problemText } from "./lib/problem.js";
import { text } from "./lib/text.js";
import { mayFetch } from "./local/local.js";
import { AT_ONCE, AT_ONCE_HERE, Queue, isDone } from "./queue.js";
import { Actions } from "./view/actions.js";
import { answerText } from "./view/answer.js";
import { Batch } from "./view/batch.js";
import { Grid } from "./view/grid.js";
import { Stage } from "./view/stage.js";

const SLOW_AFTER_MS = 4000;
/** A batch is drawn anew so often at most: people cannot read faster, and three thousand photos have to be counted. */
const BATCH_PAUSE_MS = 200;
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Session {
  selected = null;
  /** The photos of the latest choice, when they are several. */
  current = [];
  #page;
  #queue;
  #answer;
  #drawing = 0;
  #changed = new Set();
  #drawn = 0;

  constructor(page) {
    this.#page = page;
    this.#answer = answering({
      there: (item, signal) => this.#answerThere(item, signal),
      here: (item) => this.#answerHere(item),
      trouble: () => page.place.trouble(),
      mayStandIn: () => !page.place.chosen && (Boolean(page.place.local?.ready) || mayFetch()),
    });
    this.#queue = new Queue({
      read: (item) => this.#read(item),
      answer: (item) => this.#ask(item),
      changed: (item) => this.#note(item),
      finished: (item) => this.#finished(item),
    });
    this.stage = new Stage(page);
    this.actions = new Actions(page, this);
    this.batch = new Batch(this, (item) => this.select(item, { scroll: true }));
    this.history = new Grid(byId("history-tiles"), (item) => this.select(item, { scroll: true }));
    byId("history-clear").addEventListener("click", () => this.clear());
    byId("start-over").addEventListener("click", () => this.clear());
  }

  get items() {
    return this.#queue.items;
  }

  /** Asks about files, or addresses of pictures, as one choice. */
  ask(files) {
    const { where } = this.#page.place;
    this.#queue.atOnce = where === "browser" ? AT_ONCE_HERE : AT_ONCE;
    const items = this.#queue.add(files, where);
    this.current = items.length > 1 ? items : [];
    this.batch.take(this.current);
    this.select(items[0], { scroll: true });
    document.body.dataset.view = "asked";
  }

  async #read(item) {
    if (item.file.url) {
      const file = await fetchPhoto(item.file.url);
      Object.assign(item, { file, name: file.name });
    }
    return readPhoto(item.file, item.name);
  }

  async #ask(item) {
    // A batch is too much to keep decoded: a photo is read again when it is tried again.
    if (!item.photo.blob) item.photo = await this.#read(item);
    const slow = setTimeout(() => this.#markSlow(item), SLOW_AFTER_MS);
    try {
      return await this.#answer(item);
    } finally {
      clearTimeout(slow);
    }
  }

  async #answerThere(item, signal) {
    const { settings, place } = this.#page;
    const { api } = settings;
    const start = performance.now();
    try {
      const { answer, requestId } = await predict(settings, item.photo.blob, item.photo.sentName, signal);
      place.status.succeed();
      return { answer, requestId, network: Math.max(0, performance.now() - start - answer.processing_time_ms), api, by: "api", instead: null };
    } catch (problem) {
      if (SOLVED_BY_SETTINGS.has(problem.kind)) place.status.fail(problem);
      throw problem;
    }
  }

  async #answerHere({ name, photo, abort }) {
    if (!photo.opened) throw photo.heic ? new Problem("heic") : new Problem("undecodableHere", { name });
    const local = await this.#page.place.load();
    local.expect(this.#queue.waiting);
    const answer = await local.predict(photo.blob);
    if (abort?.signal.aborted) throw new Problem("cancelled");
    return { answer, requestId: newId(), network: 0, api: null, by: "browser", instead: null };
  }

  #markSlow(item) {
    item.slow = true;
    if (item === this.selected && item.where === "api") announce(text("answer.busy.slow"));
    this.#note(item);
  }

  #finished(item) {
    item.slow = false;
    if (this.current.length && item.photo) item.photo = { ...item.photo, size: item.photo.size ?? item.photo.blob?.size, blob: undefined };
    if (!this.current.includes(item)) announce(outcome(item));
    else if (this.current.every(isDone)) announce(this.batch.outcome());
    if (item === this.selected) this.#page.place.quiet(item.problem?.kind);
  }

  cancel() {
    this.#queue.cancel(this.selected);
  }

  retry(items, where = this.#page.place.where) {
    this.#queue.retry(items, where);
  }

  /** Forgets all photos of this visit. */
  clear() {
    this.#queue.clear();
    this.current = [];
    this.batch.take([]);
    this.selected = null;
    document.body.dataset.view = "empty";
    this.#page.place.quiet(null);
    this.#draw();
    announce(text("history.cleared"));
    byId("choose-files").focus();
  }

  /** Shows an item large. */
  select(item, { scroll = false, focus = false } = {}) {
    const before = this.selected;
    this.selected = item;
    this.#page.place.quiet(item.problem?.kind);
    for (const one of [before, item]) if (one) this.#changed.add(one);
    this.#draw();
    if (isDone(item)) announce(outcome(item));
    if (focus) byId("verdict").focus({ preventScroll: true });
    if (scroll) byId("stage").scrollIntoView({ block: innerWidth < 720 ? "start" : "nearest", behavior: calm() ? "auto" : "smooth" });
  }

  /** The photos among which previous and next go, in the order in which they are listed. */
  get order() {
    return this.current.includes(this.selected) ? this.batch.order : [...this.items].reverse();
  }

  #note(item) {
    this.#changed.add(item);
    if (this.#drawing) return;
    // One photo is drawn at once. Of many, the one that people look at, and now and then the others.
    const pause = this.current.length > 1 && item !== this.selected ? BATCH_PAUSE_MS - (performance.now() - this.#drawn) : 0;
    this.#drawing = setTimeout(() => this.#draw(), Math.max(0, pause));
  }

  #draw() {
    clearTimeout(this.#drawing);
    this.#drawing = 0;
    this.#drawn = performance.now();
    const { selected, current, items } = this;
    const rest = current.length ? items.filter((item) => item.drop !== current[0].drop) : items;
    this.stage.render(selected);
    this.actions.render(selected);
    this.batch.render(this.#changed, selected);
    // One photo alone is on the stage already.
    const past = rest.length > 1 || current.length ? rest : [];
    show({ history: past.length > 0 });
    this.history.render([...past].reverse(), selected, this.#changed);
    this.#changed.clear();
  }

  // --- what the page tells

  /** The place that answers, or what is known of it, has changed. */
  placeChanged() {
    const { place } = this.#page;
    if (this.selected) this.#note(this.selected);
    if (place.status.kind !== "ready") return;
    // What failed for want of the server goes on by itself.
    this.#retryFailed((kind) => UNREACHABLE.has(kind));
  }

  settingsChanged() {
    this.#retryFailed((kind) => SOLVED_BY_SETTINGS.has(kind));
  }

  #retryFailed(solved) {
    const failed = this.items.filter((item) => item.state === "failed" && item.where === "api" && solved(item.problem.kind));
    if (failed.length) this.retry(failed);
  }
}

const outcome = ({ answer, problem }) => (problem ? problemText(problem) : answerText(answer));
