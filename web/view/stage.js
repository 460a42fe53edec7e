// The photo at hand, large, with its answer: what the network says, how sure it is, and where it looked.

import { byId, element, setText, show } from "../lib/dom.js";
import { hostOf } from "../lib/api.js";
import { canvasOf, readPhoto } from "../lib/photo.js";
import { problemText } from "../lib/problem.js";
import { formatBytes, formatDuration, formatNumber, formatProbability, listed, text } from "../lib/text.js";
import { headlineOf, isBoth, noteOf } from "./answer.js";
import { foldName, probabilityRows } from "./bars.js";
import { drawHeatmap, hottestPlace, mapsOf } from "./heatmap.js";
import { loadingText } from "./place.js";

/** From so many characters on a label takes smaller letters as a headline. */
const LONG_HEADLINE = 24;

/** The part of the page that shows one item (see queue.js for what an item is). */
export class Stage {
  /** The photo as it is drawn, without heat; null while there is none. */
  base = null;
  /** Called once when another photo comes onto the stage. */
  onLeave = null;
  #page;
  #item = null;
  #drawn = null;
  #answer = null;
  #folded = [];
  /** What the two canvases show. */
  #painted = null;
  #glowing = null;

  constructor(page) {
    this.#page = page;
    byId("rest").addEventListener("toggle", () => this.#fillRest());
    byId("heat-switch").addEventListener("change", () => this.#paint());
    // Pressing the photo shows it clean, to compare.
    const compare = (on) => byId("frame").toggleAttribute("data-clean", on);
    byId("frame").addEventListener("pointerdown", ({ button }) => compare(button === 0 && !byId("frame").hasAttribute("data-crop")));
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) byId("frame").addEventListener(end, () => compare(false));
  }

  /** Shows an item as it is now. Call again when it has changed. */
  render(item) {
    if (item !== this.#item) {
      this.onLeave?.();
      this.onLeave = null;
    }
    this.#item = item;
    show({ stage: Boolean(item) });
    if (!item) return;
    byId("stage").dataset.state = item.state;
    setText("photo-name", item.name);
    this.#words(item);
    if (this.#answer !== (item.answer ?? null) || item.state !== "answered") this.#parts(item);
    this.#draw(item);
  }

  /** What changes only with the answer: made anew it would lose the keyboard's place, and the folds that are open. */
  #parts(item) {
    const answer = item.state === "answered" ? item.answer : null;
    this.#answer = answer;
    this.#bars(answer);
    this.#heat(answer);
    this.#facts(item);
    show({ more: Boolean(answer) });
  }

  #words(item) {
    const busy = item.state === "busy" || item.state === "waiting";
    const answer = item.state === "answered" ? item.answer : null;
    const words = headline(item);
    setText("verdict", words);
    byId("verdict").toggleAttribute("data-long", words.length > LONG_HEADLINE);
    const sure = answer?.recognized && !isBoth(answer);
    setText("verdict-sure", sure ? text("answer.sure", { confidence: formatProbability(answer.confidence) }) : "");
    setText("verdict-note", this.#note(item));
    setText("verdict-by", answer ? by(item) : "");
    show({ "verdict-busy": busy, "verdict-sure": Boolean(sure), "verdict-by": Boolean(answer) });
    this.#progress(item);
  }

  #note(item) {
    const { state, where, problem, answer, photo, slow } = item;
    const { local } = this.#page.place;
    if (state === "waiting") return text("answer.waiting");
    if (state === "failed") return photo?.heic && problem.kind === "unreadable" ? text("problem.heic") : problemText(problem);
    if (state === "answered") return noteOf(answer);
    if (local?.loading && (where === "browser" || this.#page.place.trouble() || slow)) return loadingText(local);
    return text(where === "browser" ? "answer.busy.browser" : slow ? "answer.busy.slow" : "answer.busy.api");
  }

  /** The true progress of the download, where that is what is waited for. */
  #progress({ state, where, slow }) {
    const { local } = this.#page.place;
    const bar = byId("verdict-busy");
    const known = state === "busy" && local?.loading && local.progress && (where === "browser" || slow || this.#page.place.trouble());
    if (known) Object.assign(bar, { max: local.progress.total, value: local.progress.done });
    else bar.removeAttribute("value");
  }

  #bars(answer) {
    const rows = answer ? probabilityRows(answer) : { inView: [], folded: [], together: 0 };
    byId("bars").replaceChildren(...rows.inView);
    this.#folded = rows.folded;
    show({ bars: Boolean(answer), rest: rows.folded.length > 0 });
    setText("rest-title", rows.folded.length ? foldName(rows) : "");
    this.#fillRest();
  }

  /** Filled only while it is open: there may be a thousand. */
  #fillRest() {
    byId("rest-bars").replaceChildren(...(byId("rest").open ? this.#folded.map((make) => make()) : []));
  }

  #heat(answer) {
    show({ heat: Boolean(answer?.heatmap) });
    if (!answer?.heatmap) return;
    const maps = mapsOf(answer);
    byId("heat-legends").replaceChildren(
      ...maps.map(({ label }, i) =>
        element(
          "div",
          { className: "heat-legend" },
          element("p", {}, text("heat.legend", { label })),
          element("p", { className: "heat-scale" }, text("heat.less"), element("span", { className: `heat-ramp ramp-${i}`, "aria-hidden": "true" }), text("heat.more")),
        ),
      ),
    );
  }

  #facts(item) {
    const facts = item.state === "answered" ? factsOf(item) : [];
    byId("facts").replaceChildren(
      ...facts.map(([name, value]) => element("div", {}, element("dt", {}, text(name)), element("dd", {}, value))),
    );
  }

  /** The photo is decoded anew each time it is shown: a visit's worth of large canvases would fill a phone's memory. */
  async #draw(item) {
    if (this.#drawn !== item || !this.base) {
      this.#drawn = item;
      this.base = null;
      const blob = await photoOf(item);
      const canvas = blob && (await canvasOf(blob));
      if (this.#item !== item) return;
      this.base = canvas;
      // Not yet read: a later call has the photo.
      if (!blob) this.#drawn = null;
    }
    this.#paint();
  }

  #paint() {
    const [item, base, canvas, glow] = [this.#item, this.base, byId("photo"), byId("glow")];
    const answer = item.state === "answered" ? item.answer : null;
    const on = byId("heat-switch").checked;
    const maps = answer?.heatmap ? mapsOf(answer) : [];
    show({ photo: Boolean(base), glow: Boolean(base), "photo-none": !base && Boolean(item.photo), "heat-legends": on });
    byId("stage").dataset.photo = base ? "shown" : item.photo ? "unopened" : "none";
    const warm = on && maps.length > 0;
    byId("frame").toggleAttribute("data-warm", warm);
    if (!base) return;
    byId("stage").dataset.shape = shapeOf(base);
    if (this.#painted !== base) {
      [this.#painted, this.#glowing] = [base, null];
      Object.assign(canvas, { width: base.width, height: base.height });
      canvas.getContext("2d").drawImage(base, 0, 0);
      Object.assign(glow, { width: base.width, height: base.height });
    }
    if (maps.length && this.#glowing !== answer) {
      this.#glowing = answer;
      drawHeatmap(glow, maps);
    }
    canvas.setAttribute("aria-label", photoLabel(item.name, warm ? maps : []));
  }
}

/** How a photo and its answer share the width: a photo wider than two of its heights would leave an empty half below it. */
function shapeOf({ width, height }) {
  if (width > height * 2) return "panorama";
  return width > height * 1.15 ? "landscape" : "portrait";
}

/** The photo of an item, small; of a batch it is read again. Null while it has not been read, or can't be. */
async function photoOf({ photo, file, name }) {
  if (!photo?.opened) return null;
  return photo.blob ?? (await readPhoto(file, name).catch(() => null))?.blob ?? null;
}

function headline({ state, answer }) {
  if (state === "failed") return text("answer.failed");
  return state === "answered" ? headlineOf(answer) : text("answer.busy");
}

/** Who has answered, and why this device did in place of the server. */
function by({ by: who, instead, api }) {
  if (who === "api") return text("by.api", { host: hostOf(api) });
  if (!instead) return text("by.browser");
  const known = { offline: "offline", slow: "slow", keyNeeded: "key", keyWrong: "key" };
  return text(`by.instead.${known[instead] ?? "down"}`);
}

function factsOf({ photo, answer, by: who, network, api }) {
  const size = photo.blob?.size ?? photo.size;
  const here = who === "browser";
  const sizes = {
    width: formatNumber(photo.width ?? 0),
    height: formatNumber(photo.height ?? 0),
    toWidth: formatNumber(photo.sentWidth ?? 0),
    toHeight: formatNumber(photo.sentHeight ?? 0),
  };
  const sent = text(here ? "fact.sent.nothing" : size !== photo.bytes ? "fact.sent.shrunk" : "fact.sent.whole", {
    from: formatBytes(photo.bytes),
    to: formatBytes(size),
  });
  const facts = [["fact.sent", sent]];
  if (photo.opened) {
    const same = photo.width === photo.sentWidth;
    facts.push(["fact.size", text(same ? "fact.size.same" : "fact.size.shrunk", sizes)]);
  }
  facts.push(
    ["fact.network", here ? text("fact.network.none") : formatDuration(network)],
    ["fact.model", formatDuration(answer.processing_time_ms)],
    ["fact.by", text(`fact.by.${who}`, { host: here ? "" : hostOf(api), version: answer.model_version })],
  );
  return facts;
}

function photoLabel(name, maps) {
  if (!maps.length) return text("answer.photo", { name });
  const places = maps.map((map) => [map.label, hottestPlace(map)]).filter(([, place]) => place);
  if (!places.length) return text("answer.photo.cold", { name, label: maps[0].label });
  const said = places.map(([label, place]) => text("answer.photo.most", { label, place: text(`place.${place.join(".")}`) }));
  return text("answer.photo.heat", { name, places: listed(said) });
}
