// Every word that the page shows. To translate it, add a language beside `en` with the same keys; the page takes the
// first of the browser's languages that is here. `{name}` is filled in; a value may be a function where a language
// has to choose a form.

const listOf = (type) => new Intl.ListFormat("en", { type });
const withArticle = (word) => (/^[aeiou]/i.test(word) ? `an ${word}` : `a ${word}`);
const photos = (count) => (count === 1 ? "1 photo" : `${count} photos`);
const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

const en = {
  "page.question": ({ labels }) => `${capital(listOf("disjunction").format(labels))}?`,
  "page.title": "Purrdict: {question}",
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
  "sample.coffee": "A cup of coffee",
  "sample.rocket": "A rocket",
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
  "answer.unrecognized": ({ labels }) => `Not ${listOf("disjunction").format(labels.map(withArticle))}`,
  "answer.unrecognized.note": ({ labels, guess }) =>
    `This does not look like ${listOf("disjunction").format(labels.map(withArticle))}. If it had to choose, the network would say ${guess}.`,
  "answer.sure": "{confidence} sure",
  "answer.say": "{label}, {confidence} sure",
  "answer.label": ({ label }) => capital(label),
  "answer.probabilities": "Probabilities",
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
  "batch.neither": "neither",
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
  "footer.samples": "Sample photos: Stéfan van der Walt and Rachel Michetti (CC0), SpaceX (public domain).",
};

const languages = { en };

const language = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag in languages) ?? "en";
const strings = languages[language];

/** The text under `key`, with `{name}` replaced by `values.name`. An unknown key is a mistake and throws. */
export function text(key, values = {}) {
  const entry = strings[key];
  if (entry === undefined) throw new Error(`No text for ${key}`);
  if (typeof entry === "function") return entry(values);
  return entry.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

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
