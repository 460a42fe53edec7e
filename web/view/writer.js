// "Write about it": a draft from notes and the answer, written by a language model on the owner's machine, as it comes.

import { copy, element } from "../lib/dom.js";
import { eventsOf } from "../lib/events.js";
import { keyFor, setKey } from "../lib/settings.js";
import { language, text } from "../lib/text.js";

const TASKS = ["listing", "email", "format", "restyle"];
const TONES = ["friendly", "factual", "playful", "formal", "heartfelt"];
const LENGTHS = ["short", "medium", "long"];
const MOST_NOTES = 4000;

/** The folded panel below an answer; `service` is the base of the writer service. */
export function writerPanel(service, item) {
  const panel = element("details", { className: "writer" }, element("summary", {}, text("writer.title")));
  panel.addEventListener("toggle", () => panel.open && panel.children.length === 1 && panel.append(form(service, item)), { once: false });
  return panel;
}

function form(service, { answer }) {
  const notes = element("textarea", { rows: 4, maxLength: MOST_NOTES, placeholder: text("writer.notes.hint") });
  const [task, tone, length] = [choice("task", TASKS), choice("tone", TONES), choice("length", LENGTHS)];
  length.value = "medium";
  const [go, stop] = [element("button", { type: "submit", className: "button primary" }, text("writer.go")), element("button", { type: "button", className: "button", hidden: true }, text("answer.cancel"))];
  const out = element("div", { className: "draft", hidden: true });
  // Asked for only where the writer does: most want none.
  const key = element("input", { type: "password", autocomplete: "off", spellcheck: false, value: keyFor(service) });
  const keyPart = labelled("writer.key", key);
  keyPart.hidden = true;
  const node = element(
    "form",
    { className: "writer-form" },
    labelled("writer.task", task),
    labelled("writer.notes", notes),
    element("div", { className: "tools" }, labelled("writer.tone", tone), labelled("writer.length", length)),
    keyPart,
    element("div", { className: "actions" }, go, stop),
    out,
    element("p", { className: "note" }, text("writer.note", { host: new URL(service).host })),
  );
  let abort = null;
  stop.addEventListener("click", () => abort?.abort());
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!notes.value.trim()) return notes.focus();
    abort = new AbortController();
    [go.disabled, stop.hidden] = [true, false];
    const { prediction, confidence, recognized } = answer;
    const request = { task: task.value, notes: notes.value, tone: tone.value, length: length.value, language, answer: { prediction, confidence, recognized } };
    if (!keyPart.hidden) setKey(service, key.value.trim());
    const refused = await write(service, request, out, abort.signal);
    [go.disabled, stop.hidden] = [false, true];
    if (!refused) return;
    keyPart.hidden = false;
    key.focus();
  });
  return node;
}

/** Fills `out` as the text comes; says whether the writer wants another key. */
async function write(service, request, out, signal) {
  const draft = element("p", { className: "draft-text", lang: language });
  const state = element("p", { role: "status", className: "note" }, text("writer.waiting"));
  out.replaceChildren(state, draft);
  out.hidden = false;
  try {
    const key = keyFor(service);
    const headers = { "Content-Type": "application/json", Accept: "text/event-stream", ...(key ? { "X-API-Key": key } : {}) };
    const response = await fetch(new URL("write", service), { method: "POST", headers, body: JSON.stringify(request), signal, credentials: "omit" });
    if (response.status === 401 || response.status === 403) {
      state.textContent = text(key ? "writer.keyWrong" : "writer.keyNeeded");
      return true;
    }
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail ?? `HTTP ${response.status}`);
    for await (const { event, data } of eventsOf(response.body)) {
      if (event === "queued") state.textContent = text("writer.queued", { place: data.place });
      else if (event === "start") state.textContent = text("writer.draft");
      else if (event === "delta") draft.append(data.text);
      else if (event === "error") throw new Error(data.detail);
      else if (event === "done") finish(out, draft, state, data);
    }
  } catch (error) {
    state.textContent = signal.aborted ? text("writer.stopped") : text("writer.failed", { detail: error.message });
  }
  return false;
}

function finish(out, draft, state, { usage, finish_reason: reason }) {
  state.textContent = text(reason === "stop" ? "writer.done" : "writer.cut", { count: usage?.completion_tokens ?? "" });
  const take = element("button", { type: "button", className: "button" }, text("writer.copy"));
  take.addEventListener("click", async () => (take.textContent = (await copy(draft.textContent)) ? text("action.copied") : text("writer.copy.failed")));
  out.append(take);
}

function choice(name, values) {
  return element("select", {}, ...values.map((value) => element("option", { value }, text(`writer.${name}.${value}`))));
}

const labelled = (name, control) => element("label", {}, element("span", {}, text(name)), control);
