// "Was this right?": what a visitor says of an answer, and, only where they allow it, the photo.

import { element } from "../lib/dom.js";
import { readPhoto } from "../lib/photo.js";
import { Problem, problemText } from "../lib/problem.js";
import { shown, text } from "../lib/text.js";

const LABELS_AS_BUTTONS = 6;
const TIMEOUT_MS = 15_000;

/** The questions below an answer; `service` is the base of the feedback service. */
export function feedbackPanel(service, item) {
  const panel = element("section", { className: "feedback", "aria-label": text("feedback.title") });
  ask(panel, service, item);
  return panel;
}

function ask(panel, service, item) {
  const consent = element("input", { type: "checkbox" });
  const send = (correction) => deliver(panel, service, item, correction, consent.checked);
  const yes = button(text("feedback.yes"), () => send(null));
  const no = button(text("feedback.no"), () => {
    choices.hidden = false;
    no.setAttribute("aria-expanded", "true");
    choices.querySelector("button, select").focus();
  });
  no.setAttribute("aria-expanded", "false");
  const choices = corrections(item.answer, send);
  panel.replaceChildren(
    element("p", { className: "feedback-title" }, text("feedback.title")),
    element("div", { className: "actions" }, yes, no),
    choices,
    element("label", { className: "consent" }, consent, element("span", {}, text("feedback.consent"))),
    element("p", { className: "note" }, text("feedback.note", { host: new URL(service).host })),
  );
}

/** What else it may be: a button a label where they are few, a list where they are many, and none of them. */
function corrections({ probabilities, prediction, recognized }, send) {
  const others = Object.keys(probabilities).filter((label) => label !== prediction || !recognized);
  const row = element("div", { className: "actions", hidden: true });
  if (others.length <= LABELS_AS_BUTTONS) row.append(...others.map((label) => button(text("feedback.is", { label }), () => send(label))));
  else {
    const select = element("select", { "aria-label": text("feedback.which") }, ...others.map((label) => element("option", { value: label }, shown(label))));
    row.append(select, button(text("feedback.send"), () => send(select.value)));
  }
  if (recognized) row.append(button(text("feedback.neither"), () => send("neither")));
  return row;
}

async function deliver(panel, service, item, correction, consent) {
  for (const control of panel.querySelectorAll("button, input, select")) control.disabled = true;
  try {
    const { id, deletion_token: token } = await post(service, item, correction, consent);
    thank(panel, service, item, id, token, consent);
  } catch (error) {
    ask(panel, service, item);
    panel.append(element("p", { className: "wrong", role: "alert" }, text("feedback.failed", { detail: error instanceof Problem ? problemText(error) : error.message })));
  }
}

async function post(service, { answer, file, name, photo, requestId }, correction, consent) {
  const said = {
    request_id: requestId,
    model_version: answer.model_version,
    prediction: answer.prediction,
    confidence: Math.min(1, Math.max(0, answer.confidence)),
    recognized: answer.recognized,
    correction,
  };
  // Of a batch the photo is read again: it is not kept in memory.
  const kept = consent && (photo.blob ? photo : await readPhoto(file, name));
  const options = kept ? formOf(said, kept) : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(said) };
  return sent(new URL("feedback", service), { method: "POST", ...options });
}

function formOf(said, photo) {
  const body = new FormData();
  for (const [name, value] of Object.entries(said)) if (value !== null) body.append(name, value);
  body.append("consent", "true");
  body.append("photo", photo.blob, photo.sentName);
  return { body };
}

async function sent(url, options) {
  const response = await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS), credentials: "omit" });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(typeof body.detail === "string" ? body.detail : `HTTP ${response.status}`);
  return body;
}

function thank(panel, service, item, id, token, consent) {
  const undo = button(text("feedback.undo"), async () => {
    undo.disabled = true;
    try {
      await sent(new URL(`feedback/${encodeURIComponent(id)}`, service), { method: "DELETE", headers: { "X-Deletion-Token": token } });
      ask(panel, service, item);
      panel.querySelector("button").focus();
    } catch (error) {
      undo.disabled = false;
      said.textContent = text("feedback.undo.failed", { detail: error.message });
    }
  });
  const said = element("p", { role: "status" }, text(consent ? "feedback.thanks.photo" : "feedback.thanks"));
  panel.replaceChildren(said, undo);
  undo.focus({ preventScroll: true });
}

function button(words, act) {
  const node = element("button", { type: "button", className: "button" }, words);
  node.addEventListener("click", act);
  return node;
}
