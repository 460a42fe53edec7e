// The page. It keeps a list of items, one for each photo of this visit, and asks about them in turn.
//
// An item: { file, name, drop, state, where, photo, answer, network, api, problem, abort }
//   drop      which choice it came with; the photos of one choice are a batch
//   state     waiting → busy → answered | failed
//   where     "api" or "browser": who answers
//   photo     see photo.js; answer: as the API gives it; network: milliseconds on the way

import { Problem, UNREACHABLE, curlCommand, hostOf, modelInfo, predict } from "./api.js";
import { Classes } from "./classes.js";
import { settingsDialog } from "./dialog.js";
import { announce, byId, copy, save, show } from "./dom.js";
import { Lists, isDone } from "./lists.js";
import { canvasOf, readPhoto } from "./photo.js";
import { loadSettings } from "./settings.js";
import { Stage, answerText, counts, problemText } from "./stage.js";
import { Status } from "./status.js";
import { fillIn, formatBytes, formatLargeNumber, formatPercent, text } from "./strings.js";

/** Photos asked about at once: enough to hide the network's delay, few enough for one small function. */
const AT_ONCE = 3;
const SLOW_AFTER_MS = 4000;
const COPIED_MS = 2000;
/** Problems that new settings may have solved. */
const SOLVED_BY_SETTINGS = new Set(["keyNeeded", "keyWrong", ...UNREACHABLE]);

const state = {
  settings: null,
  items: [],
  drop: 0,
  selected: null,
  where: "api",
  // What is known of the model of each place: undefined until it has told, null when it could not.
  models: { api: undefined, browser: undefined },
  asking: new Set(),
  slow: false,
  local: null,
};
let status;
let classes;
let stage;
let lists;
let openSettings;

start();

async function start() {
  fillIn(document);
  classes = new Classes(askSample);
  if (navigator.maxTouchPoints > 0) document.body.dataset.touch = "";
  stage = new Stage();
  lists = new Lists((item) => select(item));
  state.settings = await loadSettings();
  status = new Status(state.settings, statusChanged);
  openSettings = settingsDialog(state.settings, takeSettings);
  listen();
  renderWhere();
  status.check();
  // Shown only now, in its final shape, so that nothing jumps.
  byId("boot").remove();
  show({ page: true });
}

// --- choosing photos

async function askSample(sample) {
  const name = `${sample}.jpg`;
  try {
    const response = await fetch(`samples/${name}`);
    if (!response.ok) throw new Error(response.statusText);
    ask([new File([await response.blob()], name, { type: "image/jpeg" })]);
  } catch {
    hint(text("problem.sample"));
  }
}

function listen() {
  for (const [button, input] of [["choose-files", "files"], ["choose-camera", "camera"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", ({ target }) => {
      ask([...target.files]);
      // The same file may be chosen again.
      target.value = "";
    });
  }
  addEventListener("paste", ({ clipboardData }) => take(clipboardData));
  listenForDrops();
  listenToStage();
  byId("open-settings").addEventListener("click", openSettings);
  for (const radio of document.querySelectorAll("[name=where]"))
    radio.addEventListener("change", () => answerFrom(radio.value));
  byId("notice-retry").addEventListener("click", () => (state.where === "browser" ? loadLocal() : status.check()));
  byId("notice-settings").addEventListener("click", openSettings);
  byId("notice-browser").addEventListener("click", () => answerFrom("browser"));
  byId("batch-json").addEventListener("click", () => saveJson(batch(), "purrdict.json"));
  byId("history-clear").addEventListener("click", clearHistory);
}

function listenForDrops() {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.dataset.dragging = "";
  });
  addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) delete document.body.dataset.dragging;
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    delete document.body.dataset.dragging;
    if (!take(event.dataTransfer)) hint(text("choose.noFile"));
  });
}

/** Asks about the files of a paste or drop; false if there are none. */
function take(transfer) {
  const files = [...(transfer?.files ?? [])];
  if (files.length) ask(files);
  return files.length > 0;
}

function hint(message) {
  byId("drop-message").textContent = message;
  announce(message);
}

// --- asking

function ask(files) {
  if (!files.length) return;
  byId("drop-message").textContent = "";
  const drop = ++state.drop;
  const items = files.map((file) => ({ file, name: file.name || "photo", drop, state: "waiting", where: state.where }));
  state.items.push(...items);
  select(items[0]);
  pump();
}

/** Starts as many waiting items as may run at once. */
function pump() {
  const running = state.items.filter((item) => item.state === "busy").length;
  const waiting = state.items.filter((item) => item.state === "waiting");
  for (const item of waiting.slice(0, Math.max(0, AT_ONCE - running))) run(item);
}

async function run(item) {
  Object.assign(item, { state: "busy", problem: null, abort: new AbortController() });
  const slow = setTimeout(() => markSlow(item), SLOW_AFTER_MS);
  render();
  try {
    item.photo ??= await inTurn(() => readPhoto(item.file, item.name));
    render();
    Object.assign(item, await (item.where === "browser" ? answerHere(item) : answerThere(item)));
    item.state = "answered";
  } catch (error) {
    item.problem = error instanceof Problem ? error : new Problem("unexpected", { detail: error.message });
    item.state = "failed";
    if (item.where === "api" && SOLVED_BY_SETTINGS.has(item.problem.kind)) status.fail(item.problem);
  }
  clearTimeout(slow);
  finish(item);
}

async function answerThere({ photo, abort }) {
  const { api } = state.settings;
  const start = performance.now();
  const answer = await predict(state.settings, photo.blob, photo.sentName, abort.signal);
  const network = Math.max(0, performance.now() - start - answer.processing_time_ms);
  status.succeed();
  return { answer, network, api };
}

async function answerHere({ name, photo, abort }) {
  if (!photo.opened) throw photo.heic ? new Problem("heic") : new Problem("undecodableHere", { name });
  const local = await loadLocal();
  const canvas = await canvasOf(photo.blob);
  const answer = await local.predict(canvas);
  if (abort.signal.aborted) throw new Problem("cancelled");
  return { answer, network: 0, api: null };
}

function finish(item) {
  delete item.abort;
  item.slow = false;
  const items = batch();
  // Cleared away meanwhile: nobody waits for it.
  if (!state.items.includes(item)) return pump();
  if (items.length < 2 || item.drop !== state.drop) announce(outcome(item));
  else if (items.every(isDone)) announce(text("batch.say.done", { count: items.length, counts: counts(items) }));
  render();
  pump();
}

const outcome = ({ answer, problem }) => (problem ? problemText(problem) : answerText(answer));

function markSlow(item) {
  item.slow = true;
  if (item === state.selected && item.where === "api") announce(text("answer.busy.slow"));
  render();
}

let turn = Promise.resolve();

/** One after the other: several large photos decoded at once can be more than a phone's memory holds. */
function inTurn(job) {
  const result = turn.then(job);
  turn = result.catch(() => {});
  return result;
}

function retry(items) {
  for (const item of items) Object.assign(item, { state: "waiting", where: state.where, problem: null });
  render();
  pump();
}

// --- who answers

function answerFrom(where) {
  choosePlace(where);
  if (where === "browser") loadLocal().catch(() => {});
}

function choosePlace(where) {
  state.where = where;
  for (const radio of document.querySelectorAll("[name=where]")) radio.checked = radio.value === where;
  renderWhere();
  renderStatus();
}

/** The network in this browser, loaded once; a failed try may be repeated. */
function loadLocal() {
  state.local ??= { progress: null, ready: null, problem: null, loading: null };
  const { local } = state;
  if (local.problem) Object.assign(local, { problem: null, loading: null });
  local.loading ??= fetchLocal(local).catch((error) => {
    local.problem = error instanceof Problem ? error : new Problem("runtime", { detail: error.message });
    renderLocal();
    throw local.problem;
  });
  renderLocal();
  return local.loading;
}

async function fetchLocal(local) {
  const { LocalNetwork } = await import("./local.js");
  const network = new LocalNetwork();
  const description = await network.load(state.settings.api, (done, total) => {
    local.progress = { done, total };
    renderLocal();
  });
  local.ready = network;
  state.models.browser = modelOf(description);
  renderLocal();
  return network;
}

function renderLocal() {
  renderWhere();
  renderStatus();
}

function renderWhere() {
  const here = state.where === "browser";
  const { progress, ready, problem } = state.local ?? {};
  byId("footer-docs").href = new URL("docs", state.settings.api);
  const loading = here && state.local && !ready && !problem;
  byId("where-note").textContent = here ? localNote(state.local) : text("where.api.note", { host: hostOf(state.settings.api) });
  byId("where-progress").hidden = !loading;
  byId("where-progress").value = progress ? progress.done / progress.total : 0;
}

function localNote(local) {
  if (!local) return text("where.browser.later");
  if (local.problem) return text("where.browser.note");
  if (local.ready) return text("where.browser.ready");
  if (!local.progress || local.progress.done === local.progress.total) return text("where.browser.starting");
  const { done, total } = local.progress;
  return text("where.browser.loading", { done: formatBytes(done), total: formatBytes(total) });
}

// --- status

function statusChanged() {
  renderStatus();
  // A site published without an API: the first photo loads the model.
  const noApi = ["notPurrdict", "webPage"].includes(status.problem?.kind);
  if (noApi && state.settings.unnamed && !state.items.length) choosePlace("browser");
}

function renderStatus() {
  const here = state.where === "browser";
  const [mood, key, problem] = here ? localStatus(state.local) : apiStatus();
  byId("status").dataset.state = mood;
  setText("status-text", text(key));
  // The stage says the same of its photo, with the same ways out.
  byId("notice").hidden = !problem || state.selected?.problem?.kind === problem.kind;
  if (problem) setText("notice-text", problemText(problem));
  show({
    "notice-settings": !here && Boolean(problem) && problem.kind !== "offline" && problem.kind !== "noModel",
    // Offline there is nothing to load the model from.
    "notice-browser": !here && (problem?.kind !== "offline" || Boolean(state.local?.ready)),
  });
  renderModel();
}

function localStatus(local) {
  if (local?.problem) return ["problem", "status.failed", local.problem];
  return local && !local.ready ? ["waking", "status.loading"] : ["ready", "status.browser"];
}

function apiStatus() {
  const { kind, slow, problem } = status;
  if (kind === "ready") return ["ready", "status.ready"];
  if (kind === "waking") return ["waking", slow ? "status.slow" : "status.waking"];
  const known = { offline: "status.offline", noModel: "status.unhealthy", keyNeeded: "status.key", keyWrong: "status.key" };
  return ["problem", known[problem.kind] ?? "status.unreachable", problem];
}

/** Screen readers announce what is written into a live region, so the same words are not written twice. */
function setText(id, words) {
  if (byId(id).textContent !== words) byId(id).textContent = words;
}

// --- the model

/** Shows the model of the place that answers, or of the other one until this one has told; asks where nothing is known. */
function renderModel() {
  const { models, where } = state;
  if (status.kind === "ready") describe("api");
  const known = models[where] ?? models.api ?? models.browser;
  const last = where === "browser" || status.kind === "problem" || models.api === null ? "browser" : "api";
  if (!known && last === "browser") describe("browser");
  classes.render(known ? known.labels : models[last]);
  byId("footer-model").textContent = known ? modelText(known) : "";
}

/** Asks a place about its model, once. */
async function describe(where) {
  if (state.models[where] !== undefined || state.asking.has(where)) return;
  state.asking.add(where);
  const { api } = state.settings;
  const metadata = await (where === "api" ? describeThere() : describeHere()).catch(() => null);
  // Meanwhile the settings may name another API, which has been asked since.
  if (api !== state.settings.api) return;
  state.asking.delete(where);
  // The network itself may have come first, with more certain news.
  state.models[where] ??= metadata && modelOf(metadata);
  renderModel();
}

const describeThere = async () => (await modelInfo(state.settings))?.metadata ?? null;

/** The model beside the page: the API has been asked already, or is out of reach. */
async function describeHere() {
  const { publishedModel } = await import("./local.js");
  return (await publishedModel()).description;
}

/** What the page needs of metadata.json. */
const modelOf = ({ labels, version, parameters, metrics }) => ({
  labels: labels.map(String),
  version,
  parameters,
  accuracy: metrics?.test?.accuracy,
});

function modelText({ version, parameters, accuracy }) {
  if (!accuracy || !parameters) return text("footer.model.short", { version });
  return text("footer.model", { version, parameters: formatLargeNumber(parameters), accuracy: formatPercent(accuracy) });
}

// --- the answer

function listenToStage() {
  byId("cancel").addEventListener("click", () => cancel(state.selected));
  byId("retry").addEventListener("click", () => retry([state.selected]));
  byId("fix-settings").addEventListener("click", openSettings);
  byId("use-browser").addEventListener("click", () => {
    answerFrom("browser");
    retry([state.selected]);
  });
  byId("copy-curl").addEventListener("click", copyCurl);
  byId("save-json").addEventListener("click", () => saveJson([state.selected], `${state.selected.name}.json`));
}

function cancel(item) {
  if (item.abort) item.abort.abort();
  else Object.assign(item, { state: "failed", problem: new Problem("cancelled") });
  render();
}

async function copyCurl({ currentTarget: button }) {
  const command = curlCommand(state.settings.api, state.selected.name);
  if (await copy(command)) {
    button.textContent = text("action.copied");
    announce(text("action.copied"));
    setTimeout(() => (button.textContent = text("action.curl")), COPIED_MS);
    return;
  }
  show({ command: true });
  byId("command-text").value = command;
  byId("command-text").select();
}

/** One answer as an object, several as a list, each with what was sent. */
function saveJson(items, name) {
  const records = items.filter((item) => item.answer || item.problem).map(record);
  save(name, "application/json", JSON.stringify(records.length === 1 ? records[0] : records, null, 2));
}

function record({ name, photo, where, answer, network, problem }) {
  if (!answer) return { file: name, error: problemText(problem) };
  return {
    file: name,
    bytes: photo.bytes,
    sent_bytes: where === "browser" ? 0 : photo.blob.size,
    answered_by: where,
    network_ms: Math.round(network),
    ...answer,
  };
}

// --- lists

const batch = () => state.items.filter((item) => item.drop === state.drop);

function render() {
  document.body.dataset.view = state.items.length ? "asked" : "empty";
  const [current, { selected }] = [batch(), state];
  const shown = current.length > 1 ? current : [];
  const rest = state.items.filter((item) => !shown.includes(item));
  stage.render(selected);
  renderStatus();
  lists.batch(shown, selected);
  // One photo alone is on the stage already.
  lists.history(rest.length > 1 || shown.length ? rest : [], selected);
}

function select(item) {
  state.selected = item;
  render();
  if (isDone(item)) announce(outcome(item));
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("stage").scrollIntoView({ block: innerWidth < 720 ? "start" : "nearest", behavior: calm ? "auto" : "smooth" });
}

function clearHistory() {
  for (const item of state.items) {
    item.abort?.abort();
    lists.forget(item);
  }
  Object.assign(state, { items: [], selected: null });
  render();
  announce(text("history.cleared"));
  byId("choose-files").focus();
}

// --- settings

function takeSettings() {
  state.models.api = undefined;
  state.asking.clear();
  renderWhere();
  status.check();
  retry(batch().filter((item) => item.state === "failed" && SOLVED_BY_SETTINGS.has(item.problem.kind)));
}
