// Small tiles for many photos: a batch that fills in, and the history of this visit.

import { byId, element, show } from "./dom.js";
import { counts, noneOf } from "./stage.js";
import { formatProbability, text } from "./strings.js";

/** Renders lists of items (see app.js); a click on a tile calls `onSelect(item)`. */
export class Lists {
  #onSelect;
  #tiles = new Map();

  constructor(onSelect) {
    this.#onSelect = onSelect;
  }

  /** The items of the latest choice, when they are several. */
  batch(items, selected) {
    show({ batch: items.length > 1 });
    if (items.length < 2) return;
    const done = items.filter(isDone).length;
    const [finished, progress] = [done === items.length, byId("batch-progress")];
    byId("batch-title").textContent = text("batch.title", { count: items.length });
    byId("batch-state").textContent = finished
      ? text("batch.done", { counts: counts(items) })
      : text("batch.progress", { done, count: items.length });
    progress.max = items.length;
    progress.value = done;
    show({ "batch-progress": !finished, "batch-json": finished && items.some((item) => item.answer) });
    this.#fill("batch-tiles", items, selected);
  }

  /** Everything else of this visit, the latest first. */
  history(items, selected) {
    show({ history: items.length > 0 });
    this.#fill("history-tiles", [...items].reverse(), selected);
  }

  /** Forgets an item and frees its picture. */
  forget(item) {
    const tile = this.#tiles.get(item);
    if (tile?.picture.src) URL.revokeObjectURL(tile.picture.src);
    tile?.row.remove();
    this.#tiles.delete(item);
  }

  #fill(listId, items, selected) {
    const list = byId(listId);
    const rows = items.map((item) => this.#tile(item, item === selected));
    // Rows stay where they are if nothing moved, so that the keyboard's place in the list is kept.
    const same = rows.length === list.children.length && rows.every((row, i) => row === list.children[i]);
    if (!same) list.replaceChildren(...rows);
  }

  #tile(item, selected) {
    if (!this.#tiles.has(item)) this.#tiles.set(item, this.#newTile(item));
    const { row, button, picture, label, value } = this.#tiles.get(item);
    const [name, number] = stateOf(item);
    button.dataset.state = item.state;
    button.setAttribute("aria-pressed", String(selected));
    label.textContent = name;
    value.textContent = number;
    if (item.photo?.thumbnail && !picture.src) {
      picture.src = URL.createObjectURL(item.photo.thumbnail);
      picture.hidden = false;
    }
    return row;
  }

  #newTile(item) {
    const picture = element("img", { alt: "", width: 120, height: 120, hidden: true });
    const [label, value] = [element("span", { className: "tile-label" }), element("span", { className: "tile-value" })];
    const button = element(
      "button",
      { type: "button", className: "tile", title: item.name },
      element("span", { className: "tile-picture" }, picture),
      element("span", { className: "visually-hidden" }, text("tile.name", { name: item.name })),
      element("span", { className: "tile-words" }, label, " ", value),
    );
    button.addEventListener("click", () => this.#onSelect(item));
    return { row: element("li", {}, button), button, picture, label, value };
  }
}

export const isDone = ({ state }) => state === "answered" || state === "failed";

function stateOf({ state, answer }) {
  if (state === "waiting") return [text("tile.waiting"), ""];
  if (state === "busy") return [text("tile.busy"), ""];
  if (state === "failed") return [text("tile.failed"), ""];
  if (!answer.recognized) return [noneOf(answer), ""];
  return [text("answer.label", { label: answer.prediction }), formatProbability(answer.confidence)];
}
