// Every word that the page shows. To translate it, add a language beside `en` with the same keys; the page takes the
// first of the browser's languages that is here. `{name}` is filled in; a value may be a function where a language
// has to choose a form. The values `label` and `labels` come as the model has them, and are shown as people write them.

const listOf = (type) => new Intl.ListFormat("en", { type });
const photos = (count) => (count === 1 ? "1 photo" : `${count} photos`);
/** Begins a sentence or a line. A first word with a capital further on, like iPhone, is a name and stays. */
const capital = (words) => (/^\p{Ll}[^\p{Lu}\s]*(\s|$)/u.test(words) ? words.replace(/^./u, (letter) => letter.toUpperCase()) : words);

const en = {
  "page.question": ({ labels }) => `${capital(listOf("disjunction").format(labels))}?`,
  "page.question.many": "Which of {count} classes?",
  "page.question.unknown": "What is this?",
  "page.title": "Purrdict: {question}",
  "page.title.unknown": "Purrdict",
  "page.classes": "See all {count} classes",
  "page.lead": "Show it a photo. A small neural network says how sure it is, and where it looked.",

  "choose.title": "Your photo",
  "choose.files": "Choose photos",
  "choose.camera": "Take a photo",
  "choose.hint": "or drop them here, or paste",
  "choose.hint.touch": "Several at once are fine.",
  "choose.drop": "Let go to ask about it",
  "choose.samples": "Or try one of these",
  "choose.noFile": "There was no photo in that. Drop or paste the photo file itself.",
  "sample.chelsea": "A cat",
  "sample.chelsea.by": "Stéfan van der Walt (CC0)",
  "sample.coffee": "A cup of coffee",
  "sample.coffee.by": "Rachel Michetti (CC0)",
  "sample.rocket": "A rocket",
  "sample.rocket.by": "SpaceX (public domain)",
  "sample.use": ({ name }) => `Sample: ${name}`,

  "where.title": "Who answers",
  "where.api": "The API",
  "where.browser": "This browser",
  "where.api.note": "Photos go to {host}.",
  "where.browser.note": "Photos stay on this device.",
  "where.browser.later": "Photos stay on this device. The first one loads the model.",
  "where.browser.loading": "Loading the model: {done} of {total}",
  "where.browser.starting": "Starting the model…",
  "where.browser.ready": "The model is loaded. Photos stay on this device.",
  "where.browser.use": "Answer in this browser",

  "status.waking": "Waking the API…",
  "status.slow": "Still waking…",
  "status.ready": "Ready",
  "status.browser": "Ready, in this browser",
  "status.loading": "Loading the model…",
  "status.offline": "Offline",
  "status.key": "API key needed",
  "status.unreachable": "API not reachable",
  "status.unhealthy": "API has no model",
  "status.failed": "Model not loaded",
  "status.retry": "Try again",
  "status.settings": "Open settings",

  "problem.offline": "This device is offline. Connect it, and the page carries on by itself.",
  "problem.mixed":
    "This page came over https, so the browser does not let it call {api}. Give the API an https address in the settings.",
  "problem.cors":
    "The API at {host} is up, but does not let this page read its answers. Add {origin} to ALLOWED_ORIGINS where the API runs, and restart it.",
  "problem.ngrok":
    "The API at {host} is up, but this page gets no answer of it to read. If {api} shows ngrok's warning page when you open it in a tab, confirm that and come back; otherwise add {origin} to ALLOWED_ORIGINS where the API runs, and restart it.",
  "problem.localNetwork":
    "Nothing answers at {host}, or the browser keeps this page from it, because it is on your own machine or network. Chrome asks before it lets a page reach that: choose Allow, or allow it in the site settings beside this page's address. A page that came over http is never allowed.",
  "problem.localNetworkDenied":
    "The browser does not let this page reach {host}, which is on your own machine or network. Allow access to the local network in the site settings beside this page's address, and try again. A page that came over http is never allowed.",
  "problem.webPage":
    "A web page came from {host} in place of the API's answer: a warning or a sign-in of something in front of it. Open {api} in a tab, get past that page, and try again here.",
  "problem.down": "Nothing answers at {host}. The API may be stopped, or its address wrong.",
  "problem.timeout": "The API at {host} did not answer within {seconds} seconds. It may be starting: try again.",
  "problem.notPurrdict": "{host} answers, but not as this API. Check its address in the settings.",
  "problem.noModel": "The API runs, but has no model to answer with. {detail}",
  "problem.keyNeeded": "This API asks for a key. Enter it in the settings; it is kept until you close this tab.",
  "problem.keyWrong": "The API does not take this key. Check it in the settings.",
  "problem.tooLarge": "The API finds this photo too large. {detail}",
  "problem.unreadable": "The API cannot read this photo. {detail}",
  "problem.rate": "The API gets too many requests just now. Wait a little and try again.",
  "problem.unavailable": "The API cannot answer just now. {detail}",
  "problem.server": "The API failed (HTTP {status}). Try again; if it stays so, tell its owner{request}.",
  "problem.server.request": " the request id {id}",
  "problem.refused": "The API refused the request (HTTP {status}). {detail}",
  "problem.cancelled": "Cancelled.",
  "problem.notPhoto": "{name} is no photo. Choose a picture, such as a JPEG or PNG file.",
  "problem.empty": "{name} is empty. Choose the photo again.",
  "problem.undecodable":
    "This browser cannot open {name}, and at {bytes} it is too large to send as it is. Save it as a JPEG and choose that.",
  "problem.undecodableHere":
    "This browser cannot open {name}. Save it as a JPEG and choose that, or let the API answer.",
  "problem.heic":
    "This HEIC photo cannot be read here. On an iPhone choose Settings, Camera, Formats, Most Compatible; or export the photo as a JPEG.",
  "problem.sample": "The sample could not be loaded. Check the connection and try again.",
  "problem.runtime": "This browser cannot run the model: {detail} Let the API answer instead.",
  "problem.scriptType": ({ file, type }) =>
    `This page's server sends ${file} ${type ? `as ${type}` : "without a type"}, and browsers run a script only as text/javascript. Its table of types needs that entry; until then let the API answer.`,
  "problem.scriptMissing":
    "This page's server does not have {file} (HTTP {status}). Publish the whole folder of the page; until then let the API answer.",
  "problem.modelMissing": "There is no model file beside this page, and none could be had from the API.",
  "problem.modelBroken": "The model file arrived damaged. Reload the page to fetch it again.",
  "problem.unexpected": "Something went wrong: {detail}",

  "answer.busy": "Looking…",
  "answer.busy.api": "Asking the API",
  "answer.busy.slow": "Still waiting for the API. After a pause it needs some seconds to start.",
  "answer.busy.browser": "Running the model in this browser",
  "answer.waiting": "Waiting its turn",
  "answer.cancel": "Cancel",
  "answer.failed": "No answer",
  "answer.neither": ({ labels: [first, second] }) => `Neither ${first} nor ${second}`,
  "answer.neither.note": ({ labels: [first, second], label }) =>
    `This looks like neither ${first} nor ${second}. If it had to choose, the network would say ${label}.`,
  "answer.none": "None of the {count} classes",
  "answer.none.note": "This looks like none of the {count} classes. If it had to choose, the network would say {label}.",
  "answer.sure": "{confidence} sure",
  "answer.say": "{label}, {confidence} sure",
  "answer.label": ({ label }) => capital(label),
  "answer.probabilities": "Probabilities",
  "answer.rest": "{count} others, {together} together",
  "answer.photo": "Photo {name}",
  "answer.photo.heat": "Photo {name} with a heat map. Most speaks for {label} {place}.",
  "answer.photo.cold": "Photo {name} with a heat map. Nothing in it speaks for {label}.",
  "answer.photo.none": "This browser cannot show this photo",
  "place.0.0": "at the upper left",
  "place.0.1": "at the top",
  "place.0.2": "at the upper right",
  "place.1.0": "at the left",
  "place.1.1": "in the middle",
  "place.1.2": "at the right",
  "place.2.0": "at the lower left",
  "place.2.1": "at the bottom",
  "place.2.2": "at the lower right",
  "heat.switch": "Show where it looked",
  "heat.legend": "What speaks for {label}",
  "heat.less": "less",
  "heat.more": "more",

  "fact.sent": "Sent",
  "fact.sent.shrunk": "{to}, made from {from}",
  "fact.sent.whole": "{to}, as it was",
  "fact.sent.nothing": "nothing",
  "fact.size": "Size",
  "fact.size.shrunk": "{toWidth} × {toHeight}, from {width} × {height}",
  "fact.size.same": "{width} × {height}",
  "fact.network": "Network",
  "fact.network.none": "none",
  "fact.model": "Model",
  "fact.by": "Answered by",
  "fact.by.api": "{host}, model {version}",
  "fact.by.browser": "this browser, model {version}",

  "action.curl": "Copy as curl",
  "action.json": "Download JSON",
  "action.copied": "Copied",
  "action.notCopied": "Could not copy. Here is the command:",

  "batch.title": ({ count }) => photos(count),
  "batch.progress": ({ done, count }) => `${done} of ${count} answered`,
  "batch.done": ({ counts }) => listOf("unit").format(counts),
  "batch.count": "{count} × {label}",
  "batch.others": "{count} × other classes",
  "batch.failed": "no answer",
  "batch.json": "Download all as JSON",
  "batch.say.done": ({ count, counts }) => `All ${photos(count)} are done: ${listOf("unit").format(counts)}`,

  "history.title": "This visit",
  "history.clear": "Clear",
  "history.cleared": "The list is empty.",
  "tile.waiting": "waiting",
  "tile.busy": "looking",
  "tile.failed": "no answer",
  "tile.neither": "neither",
  "tile.none": "none of them",
  "tile.name": "{name}: ",

  "settings.open": "Settings",
  "settings.title": "Settings",
  "settings.api": "Address of the API",
  "settings.api.note": "Empty means: the address that this page was published with.",
  "settings.api.wrong": "Write an http or https address, like https://purrdict.example.",
  "settings.key": "API key",
  "settings.key.note": "Kept until you close this tab, and sent only to this API.",
  "settings.save": "Save",
  "settings.cancel": "Cancel",

  "footer.model": "Model {version}: {parameters} parameters, {accuracy} of the test photos right.",
  "footer.model.short": "Model {version}.",
  "footer.docs": "API documentation",
  "footer.samples": "Sample photos: {credits}.",
};

const languages = { en };

const language = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag in languages) ?? "en";
const strings = languages[language];

/** The text under `key`, with `{name}` replaced by `values.name`. An unknown key is a mistake and throws. */
export function text(key, values = {}) {
  const entry = strings[key];
  if (entry === undefined) throw new Error(`No text for ${key}`);
  const words = { ...values };
  if (values.label !== undefined) words.label = shown(values.label);
  if (values.labels) words.labels = values.labels.map(shown);
  if (typeof entry === "function") return entry(words);
  return entry.replace(/\{(\w+)\}/g, (_, name) => words[name] ?? "");
}

/** Letters that are written from right to left. Within a sentence they would carry its full stop along. */
const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Nko}\p{Script=Syriac}\p{Script=Thaana}]/u;
const [ISOLATE, END_OF_ISOLATE] = ["\u2068", "\u2069"];

/** A label as people read it: folders have underscores where they mean spaces (api/_labels.py does the same). */
export function shown(label) {
  const words = String(label).replace(/[_\s]+/g, " ").trim() || String(label);
  return RIGHT_TO_LEFT.test(words) ? ISOLATE + words + END_OF_ISOLATE : words;
}

const NAMED_AT_MOST = 5;
const NAMED_CHARACTERS = 60;

/** Whether these labels fit into a sentence. More, or longer ones, are counted (api/_labels.py does the same). */
export function areNamed(labels) {
  return labels.length <= NAMED_AT_MOST && [...labels.map(shown).join("")].length <= NAMED_CHARACTERS;
}

/** Words as a list within a sentence: "a, b, and c". */
export const listed = (words) => new Intl.ListFormat(language, { type: "conjunction" }).format(words);

/** Fills every element that names its text: data-text for the content, data-label for the accessible name. */
export function fillIn(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", text(element.dataset.label));
}

const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const decimal = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 2, compactDisplay: "long" });

/** A probability as people read it. Rounding must not turn "almost certain" into "certain". */
export function formatProbability(value) {
  if (value > 0.999 && value < 1) return `>${percent.format(0.999)}`;
  if (value < 0.001 && value > 0) return `<${percent.format(0.001)}`;
  return percent.format(value);
}

export const formatPercent = (value) => percent.format(value);
export const formatNumber = (value) => whole.format(value);
export const formatLargeNumber = (value) => compact.format(value);

/** Bytes in the unit that fits: 950 B, 38 kB, 4.2 MB (powers of 1000, as file managers show them). */
export function formatBytes(bytes) {
  if (bytes < 1000) return `${whole.format(bytes)} B`;
  if (bytes < 1e6) return `${whole.format(bytes / 1000)} kB`;
  return `${decimal.format(bytes / 1e6)} MB`;
}

/** Milliseconds, in seconds from one second on. */
export function formatDuration(milliseconds) {
  if (milliseconds >= 1000) return `${decimal.format(milliseconds / 1000)} s`;
  return `${milliseconds < 10 ? decimal.format(milliseconds) : whole.format(milliseconds)} ms`;
}
