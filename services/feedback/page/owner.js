// The owner's page: asks for the key, keeps it in this tab, and shows what the service counts. What people wrote comes
// onto the page as text only.

import { bars, percent, points } from "./plots.js";

const KEY = "purrdict.feedback.key";
const PAGE_SIZE = 24;
const service = new URL("../..", location.href);
const $ = (selector) => document.querySelector(selector);
const shownPhotos = [];
let cursor = null;

function make(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

async function ask(path, parameters = {}) {
  const url = new URL(path, service);
  for (const [name, value] of Object.entries(parameters)) if (value) url.searchParams.set(name, value);
  const response = await fetch(url, { headers: { "X-API-Key": sessionStorage.getItem(KEY) ?? "" } });
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw Object.assign(new Error(answer.detail ?? `The service answered ${response.status}.`), { status: response.status });
}

function chosen() {
  return Object.fromEntries(new FormData($("#filter")));
}

function fill(id, rows, draw) {
  $(`#${id}`).replaceChildren(rows.length ? draw(rows) : make("p", { className: "note", textContent: "nothing yet" }));
}

function options(name, rows) {
  const select = $(`#filter [name=${name}]`);
  const known = new Set([...select.options].map((option) => option.value));
  for (const { value } of rows) if (!known.has(value)) select.append(make("option", { value, textContent: value }));
}

async function showFigures() {
  const figures = await (await ask("feedback/stats", chosen())).json();
  $("#total").textContent = figures.count
    ? `${percent(figures.agreement)} of ${figures.count.toLocaleString("en")} say that the answer was right `
      + `(${figures.interval.map(percent).join(" to ")}); ${figures.with_photo.toLocaleString("en")} with a photo.`
    : "Nobody has said anything yet.";
  options("model_version", figures.by_version);
  options("prediction", figures.by_label);
  fill("by_version", figures.by_version, (rows) => bars(rows, "Agreement by version"));
  fill("by_label", figures.by_label.slice(0, 15), (rows) => bars(rows, "Agreement by label"));
  fill("by_day", figures.by_day, (rows) => points(rows, "Agreement by day", {
    at: (_, i) => (rows.length === 1 ? 0.5 : i / (rows.length - 1)), label: (row) => row.value,
  }));
  fill("by_confidence", figures.by_confidence, (rows) => points(rows, "Agreement by confidence", {
    at: (row) => row.value + 0.05, label: (row) => `confidence ${Math.round(row.value * 100)} to ${Math.round(row.to * 100)} %`,
    diagonal: true,
  }));
  $("#mistakes tbody").replaceChildren(...figures.mistakes.slice(0, 20).map((row) => make("tr", {},
    make("td", { textContent: row.recognized ? row.prediction : `none of them (${row.prediction})` }),
    make("td", { textContent: row.truth }), make("td", { textContent: row.count }))));
}

async function showPhoto(image, path) {
  const url = URL.createObjectURL(await (await ask(path)).blob());
  shownPhotos.push(url);
  image.src = url;
}

function card(row) {
  const words = make("p", {}, make("span", { textContent: row.recognized ? row.prediction : `none (${row.prediction})` }),
    ` ${Math.round(row.confidence * 100)} % → `, make("strong", { textContent: row.truth }));
  const when = make("p", { className: "note", textContent: `${row.created_at.slice(0, 16).replace("T", " ")} · ${row.model_version}` });
  const remove = make("button", { type: "button", textContent: "Delete" });
  const made = make("li", {}, words, when, remove);
  remove.addEventListener("click", () => guarded(async () => {
    if (!confirm("Delete this correction and its photo?")) return;
    const url = new URL(`feedback/${row.id}`, service);
    const response = await fetch(url, { method: "DELETE", headers: { "X-API-Key": sessionStorage.getItem(KEY) ?? "" } });
    if (!response.ok && response.status !== 404) throw new Error(`It was not deleted: the service answered ${response.status}.`);
    made.remove();
    await showFigures();
  }));
  if (row.photo) {
    const image = make("img", { alt: `said to show ${row.truth}`, width: row.photo.width, height: row.photo.height });
    made.prepend(image);
    showPhoto(image, row.photo.path).catch(() => image.remove());
  }
  return made;
}

async function showLatest(afresh) {
  if (afresh) {
    cursor = null;
    shownPhotos.splice(0).forEach(URL.revokeObjectURL);
    $("#latest").replaceChildren();
  }
  const answer = await (await ask("feedback", { ...chosen(), agrees: "false", limit: PAGE_SIZE, cursor })).json();
  cursor = answer.next;
  $("#latest").append(...answer.feedback.map(card));
  $("#more").hidden = !cursor;
}

/** Runs it; a wrong key asks for another one, and any other failure is said. */
async function guarded(action) {
  $("#message").textContent = "";
  try {
    await action();
  } catch (error) {
    $("#message").textContent = error.message;
    if (error.status === 401) lock();
  }
}

function lock() {
  sessionStorage.removeItem(KEY);
  $("main").hidden = true;
  $("#unlock").hidden = false;
  $("#key").focus();
}

function show() {
  return guarded(async () => {
    await showFigures();
    $("#unlock").hidden = true;
    $("main").hidden = false;
    await showLatest(true);
  });
}

$("#unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("#key").value.trim());
  $("#key").value = "";
  show();
});
$("#filter").addEventListener("change", show);
$("#filter").addEventListener("submit", (event) => event.preventDefault());
$("#leave").addEventListener("click", lock);
$("#more").addEventListener("click", () => guarded(() => showLatest(false)));

if (sessionStorage.getItem(KEY)) show();
else lock();
