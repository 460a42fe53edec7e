// What the page says of a model before a photo is asked about: its question, its classes, and the samples that suit it.

import { byId, element, show } from "../lib/dom.js";
import { areNamed, formatNumber, listed, shown, text } from "../lib/text.js";

// The sample photos, and the models that they suit: a sample belongs to the models with exactly these labels, in any
// order. Another model gets no samples rather than a photo that its classes have no name for. docs/PAGE.md says how to
// add some.
// A strip holds their small pictures, side by side. The first photo is the example of the first screen (view/example.js).
const SAMPLES = [{ labels: ["cat", "dog"], strip: "cats-and-dogs", photos: ["chelsea", "shepherd", "coffee", "rocket"] }];

/** From so many characters on a heading takes smaller letters. */
const LONG_QUESTION = 24;

/** The parts of the page that follow the labels of the model; a click on a sample calls `onSample(name)`. */
export class Classes {
  /** The name of the sample that suits the model first; null while none does. */
  example = null;
  #labels;
  #onSample;

  constructor(onSample) {
    this.#onSample = onSample;
    byId("classes").addEventListener("toggle", () => this.#list());
    this.#render(undefined);
  }

  /** Takes the labels: undefined while they may still come, null when nobody can tell them. */
  render(labels) {
    if (JSON.stringify(labels) !== JSON.stringify(this.#labels)) this.#render(labels);
  }

  #render(labels) {
    this.#labels = labels;
    const question = labels ? text(areNamed(labels) ? "page.question" : "page.question.many", about(labels)) : text("page.question.unknown");
    byId("question").textContent = question;
    byId("question").toggleAttribute("data-long", question.length > LONG_QUESTION);
    document.title = labels ? text("page.title", { question }) : text("page.title.unknown");
    show({ classes: Boolean(labels) && !areNamed(labels) });
    if (labels) byId("classes-title").textContent = text("page.classes", about(labels));
    this.#list();
    this.#samples(labels);
  }

  /** Filled only while it is open: most visitors never look, and there may be a thousand. */
  #list() {
    const labels = byId("classes").open && this.#labels ? this.#labels : [];
    byId("classes-list").replaceChildren(...labels.map((label) => element("li", {}, shown(label))));
  }

  #samples(labels) {
    // While the labels are awaited the room is kept, so that nothing jumps.
    for (const id of ["samples-part", "footer-samples"]) byId(id).toggleAttribute("data-waiting", labels === undefined);
    const { photos: names, strip } = (labels && samplesFor(labels)) ?? { photos: [] };
    this.example = names[0] ?? null;
    const room = labels === undefined || names.length > 0;
    show({ "samples-part": room, "footer-samples": room, example: room });
    if (labels === undefined) return;
    byId("samples").replaceChildren(...names.map((name, i) => this.#sample(name, strip, i / (names.length - 1))));
    byId("footer-samples").textContent = text("footer.samples", { credits: listed(names.map((name) => text(`sample.${name}.by`))) });
  }

  #sample(sample, strip, across) {
    const name = text(`sample.${sample}`);
    const picture = element("img", { src: `samples/${strip}.webp`, alt: "", width: 56, height: 56, decoding: "async" });
    picture.style.objectPosition = `${across * 100}% 0`;
    const label = text("sample.use", { name });
    const button = element("button", { type: "button", className: "sample", title: name, "aria-label": label }, picture);
    button.addEventListener("click", () => this.#onSample(sample));
    return element("li", {}, button);
  }
}

const about = (labels) => ({ labels, count: formatNumber(labels.length) });

/** The samples for a model with these labels: files in samples/, texts in words/. */
function samplesFor(labels) {
  const suits = (sample) => sample.labels.length === labels.length && sample.labels.every((label) => labels.includes(label));
  return SAMPLES.find(suits);
}
