// Small tiles for many photos. Only those on the screen, and some around it, are in the document, so that three thousand
// photos cost no more than sixty.

import { element } from "../lib/dom.js";
import { THUMBNAIL_SIDE, bitmapOf, square } from "../lib/pixels.js";
import { formatProbability, text } from "../lib/text.js";
import { isBoth, labelled, noneOf } from "./answer.js";

/** Up to so many tiles all are in the document. */
const ALL = 60;
/** Rows kept above and below the screen, for the keyboard and for quick scrolling. */
const AROUND = 3;

/** Renders items (see queue.js) into a list element; a click on a tile calls `onSelect(item)`. */
export class Grid {
  #list;
  #onSelect;
  #items = [];
  #selected = null;
  #tiles = new Map();
  #waiting = 0;

  constructor(list, onSelect) {
    this.#list = list;
    this.#onSelect = onSelect;
    const later = () => (this.#waiting ||= requestAnimationFrame(() => this.#place()));
    addEventListener("scroll", later, { passive: true });
    new ResizeObserver(later).observe(list);
  }

  /** Shows these items in this order; `changed` are those that have changed since the last time. */
  render(items, selected, changed) {
    const before = this.#selected;
    [this.#items, this.#selected] = [items, selected];
    for (const item of [...changed, before, selected]) if (this.#tiles.has(item)) this.#fill(item);
    this.#place();
  }

  /** The tile of an item, scrolled into view and with the keyboard. */
  reveal(item) {
    const index = this.#items.indexOf(item);
    if (index < 0) return;
    const { columns, height } = this.#measure();
    const top = this.#list.getBoundingClientRect().top + scrollY + Math.floor(index / columns) * height;
    scrollTo({ top: Math.max(0, top - innerHeight / 3) });
    this.#place();
    this.#tiles.get(item)?.button.focus({ preventScroll: true });
  }

  /** Puts the tiles into the document that the screen needs now. */
  #place() {
    cancelAnimationFrame(this.#waiting);
    this.#waiting = 0;
    const [first, end] = this.#window();
    const wanted = this.#items.slice(first, end);
    const kept = new Set(wanted);
    for (const item of [...this.#tiles.keys()]) if (!kept.has(item)) this.#tiles.delete(item);
    const rows = wanted.map((item, i) => this.#row(item, first + i));
    const same = rows.length === this.#list.children.length && rows.every((row, i) => row === this.#list.children[i]);
    if (same) return;
    const held = this.#list.contains(document.activeElement) ? document.activeElement : null;
    this.#list.replaceChildren(...rows);
    // Rows that stay keep the keyboard's place.
    if (held?.isConnected) held.focus({ preventScroll: true });
  }

  /** First and end of the items that are in the document; the others are room above and below. */
  #window() {
    const count = this.#items.length;
    const { style } = this.#list;
    if (count <= ALL) {
      style.paddingBlock = "";
      return [0, count];
    }
    const { columns, height } = this.#measure();
    const top = this.#list.getBoundingClientRect().top;
    const rows = Math.ceil(count / columns);
    const from = clamp(Math.floor(-top / height) - AROUND, rows);
    const to = clamp(Math.ceil((innerHeight - top) / height) + AROUND, rows);
    style.paddingBlockStart = `${from * height}px`;
    style.paddingBlockEnd = `${(rows - to) * height}px`;
    return [from * columns, Math.min(count, to * columns)];
  }

  #measure() {
    if (!this.#list.children.length) this.#list.replaceChildren(this.#row(this.#items[0], 0));
    const style = getComputedStyle(this.#list);
    const columns = style.gridTemplateColumns.split(" ").length;
    return { columns, height: this.#list.children[0].offsetHeight + parseFloat(style.rowGap) };
  }

  #row(item, index) {
    if (!this.#tiles.has(item)) {
      this.#tiles.set(item, this.#newTile(item));
      this.#fill(item);
    }
    const { row } = this.#tiles.get(item);
    row.setAttribute("aria-setsize", this.#items.length);
    row.setAttribute("aria-posinset", index + 1);
    return row;
  }

  #fill(item) {
    const { button, picture, label, value, name } = this.#tiles.get(item);
    const [words, number] = stateOf(item);
    button.dataset.state = item.state;
    button.title = item.name;
    name.textContent = text("tile.name", { name: item.name });
    button.setAttribute("aria-pressed", String(item === this.#selected));
    label.textContent = words;
    value.textContent = number;
    if (item.photo?.opened && picture.hidden) {
      picture.hidden = false;
      drawThumbnail(picture, item);
    }
  }

  #newTile(item) {
    const picture = element("canvas", { width: THUMBNAIL_SIDE, height: THUMBNAIL_SIDE, hidden: true, "aria-hidden": "true" });
    const [label, value] = [element("span", { className: "tile-label" }), element("span", { className: "tile-value" })];
    const name = element("span", { className: "visually-hidden" });
    const button = element(
      "button",
      { type: "button", className: "tile" },
      element("span", { className: "tile-picture" }, picture),
      name,
      element("span", { className: "tile-words" }, label, " ", value),
    );
    button.addEventListener("click", () => this.#onSelect(item));
    return { row: element("li", {}, button), button, picture, label, value, name };
  }
}

/** Draws the photo small, from what was kept of it or from its file. */
async function drawThumbnail(canvas, { photo, file }) {
  const bitmap = await bitmapOf(photo.thumbnail ?? file).catch(() => null);
  if (bitmap) square(bitmap, canvas);
  bitmap?.close();
}

const clamp = (row, rows) => Math.min(rows, Math.max(0, row));

function stateOf({ state, answer }) {
  if (state === "waiting") return [text("tile.waiting"), ""];
  if (state === "busy") return [text("tile.busy"), ""];
  if (state === "failed") return [text("tile.failed"), ""];
  if (!answer.recognized) return [noneOf(answer), ""];
  if (isBoth(answer)) return [text("tile.both"), ""];
  return [labelled(answer.prediction), formatProbability(answer.confidence)];
}
