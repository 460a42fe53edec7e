// What is known of the model: what it was made from, how good it was where it was measured, and where it fails.

import { byId, element } from "../lib/dom.js";
import { formatLargeNumber, formatNumber, formatPercent, listed, shown, text } from "../lib/text.js";

const LABELS_NAMED = 12;

/** Opens the card of the model with this metadata.json. */
export function openCard(metadata) {
  byId("card")?.remove();
  const close = element("button", { type: "button", className: "button" }, text("card.close"));
  const facts = factsOf(metadata).map(([name, value]) => element("div", {}, element("dt", {}, text(name)), element("dd", {}, value)));
  const node = element(
    "dialog",
    { id: "card", "aria-labelledby": "card-title" },
    element("h2", { id: "card-title" }, text("card.title", { version: metadata.version })),
    element("dl", { className: "facts" }, ...facts),
    element("h3", {}, text("card.limits")),
    element("ul", { className: "limits" }, ...limits(metadata).map((limit) => element("li", {}, limit))),
    element("div", { className: "actions" }, close),
  );
  close.addEventListener("click", () => node.close());
  byId("page").append(node);
  node.showModal();
}

function factsOf({ labels, architecture, parameters, metrics = {}, training = {}, created }) {
  const facts = [];
  const add = (name, value) => value && facts.push([name, value]);
  const named = labels.slice(0, LABELS_NAMED).map(shown);
  const others = labels.length - named.length;
  add("card.labels", others > 0 ? text("card.labels.more", { list: named.join(", "), count: formatNumber(others) }) : listed(named));
  add("card.kind", architecture);
  add("card.parameters", parameters && formatLargeNumber(parameters));
  add("card.trained", training.data && [training.data, training.photos && text("card.photos", { count: formatNumber(training.photos) })].filter(Boolean).join(", "));
  const test = metrics.test ?? {};
  add("card.accuracy", test.accuracy && text("card.accuracy.of", { accuracy: formatPercent(test.accuracy), photos: test.photos ? formatNumber(test.photos) : "" }));
  add("card.made", created && new Date(created).toLocaleDateString(document.documentElement.lang));
  return facts;
}

const limits = ({ labels }) => [
  text("card.limit.labels", { count: formatNumber(labels.length) }),
  text("card.limit.sure"),
  text("card.limit.heat"),
  text("card.limit.test"),
];
