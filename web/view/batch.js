// Several photos of one choice: how many are done, what they show, in which order and which of them, and as files.

import { byId, element, save, setText, show } from "../lib/dom.js";
import { csv, record } from "../lib/records.js";
import { formatNumber, listOfUnits, text } from "../lib/text.js";
import { isDone } from "../queue.js";
import { counts, groupOf, groups } from "./answer.js";
import { Grid } from "./grid.js";

export class Batch {
  #items = [];
  #grid;
  #choices = "";

  constructor(session, onSelect) {
    this.#grid = new Grid(byId("batch-tiles"), onSelect);
    for (const id of ["batch-sort", "batch-filter"])
      byId(id).addEventListener("change", () => this.render(new Set(), session.selected));
    byId("batch-json").addEventListener("click", () => save("purrdict.json", "application/json", this.#json()));
    byId("batch-csv").addEventListener("click", () => save("purrdict.csv", "text/csv", csv(this.#items.filter(isDone))));
  }

  /** The photos of a new choice; none, where it was a single one. */
  take(items) {
    this.#items = items;
    byId("batch-sort").value = "chosen";
    byId("batch-filter").replaceChildren();
    this.#choices = "";
  }

  /** The items as they are listed. */
  get order() {
    return ordered(this.#items, byId("batch-sort").value, byId("batch-filter").value || "all");
  }

  /** What became of all of them, in a sentence. */
  outcome() {
    return text("batch.say.done", { count: this.#items.length, list: listOfUnits(counts(this.#items)) });
  }

  reveal(item) {
    this.#grid.reveal(item);
  }

  render(changed, selected) {
    const items = this.#items;
    show({ batch: items.length > 1, "batch-list": items.length > 1 });
    if (items.length < 2) return this.#grid.render([], null, changed);
    const done = items.filter(isDone).length;
    const finished = done === items.length;
    setText("batch-title", text("batch.title", { count: items.length }));
    setText("batch-progress-text", finished ? "" : text("batch.progress", { done: formatNumber(done), count: formatNumber(items.length) }));
    setText("batch-state", done ? text("batch.done", { list: listOfUnits(counts(items)) }) : "");
    Object.assign(byId("batch-progress"), { max: items.length, value: done });
    const any = items.some((item) => item.answer);
    show({ "batch-progress": !finished, "batch-json": finished && any, "batch-csv": finished && any });
    this.#filters(items);
    const order = this.order;
    show({ "batch-nothing": order.length === 0 });
    this.#grid.render(order, selected, changed);
  }

  /** A choice for each kind of answer that there is. */
  #filters(items) {
    const found = groups(items);
    const words = JSON.stringify(found.map(({ group, count }) => [group, count]));
    if (words === this.#choices) return;
    this.#choices = words;
    const select = byId("batch-filter");
    const chosen = select.value || "all";
    const options = [["all", text("filter.all")], ...found.map(({ group, name, count }) => [group, text("filter.count", { name, count: formatNumber(count) })])];
    select.replaceChildren(...options.map(([value, label]) => element("option", { value }, label)));
    select.value = options.some(([value]) => value === chosen) ? chosen : "all";
  }

  #json() {
    return JSON.stringify(this.#items.filter(isDone).map((item) => record(item, false)), null, 2);
  }
}

/** Items in the order and of the kind that were asked for; those without an answer yet come last. */
export function ordered(items, sort, filter) {
  const shown = filter === "all" ? items : items.filter((item) => groupOf(item) === filter);
  if (sort !== "unsure") return sort === "name" ? [...shown].sort((a, b) => byName.compare(a.name, b.name)) : shown;
  return [...shown].sort((a, b) => sureness(a) - sureness(b));
}

const byName = new Intl.Collator(undefined, { numeric: true });

/** From the least sure on: torn between labels, then sure; none of them and failed ones after those. */
function sureness({ state, answer }) {
  if (state !== "answered") return 3;
  return answer.recognized ? answer.confidence : 2;
}
