// What may stand beside the API: feedback on answers, and a writer. Nothing of them is loaded or shown where neither
// config.json nor the API names them.

import { headersFor } from "../lib/api.js";
import { byId, element } from "../lib/dom.js";
import { parseApi } from "../lib/settings.js";

/** Finds the services once; returns what shows them for an item. */
export async function panels(page) {
  const { settings } = page;
  const named = await services(settings);
  const [feedback, writer] = [element("div", {}), element("div", {})];
  byId("services").replaceChildren(feedback, writer);
  const { feedbackPanel } = named.feedback ? await import("./feedback.js") : {};
  const { writerPanel } = named.writer ? await import("./writer.js") : {};
  // What was said of an answer stays said when its photo comes onto the stage again.
  const made = new WeakMap();
  return (item) => {
    if (!made.has(item.answer))
      made.set(item.answer, [feedbackPanel?.(named.feedback, item), writerPanel?.(named.writer, item)]);
    const [first, second] = made.get(item.answer);
    if (feedback.firstChild !== (first ?? null)) feedback.replaceChildren(...(first ? [first] : []));
    if (writer.firstChild !== (second ?? null)) writer.replaceChildren(...(second ? [second] : []));
  };
}

/** The addresses of the services: config.json's, else what `GET /` of the API calls its endpoints. */
async function services({ services: named, api, timeout }) {
  if (named.feedback && named.writer) return named;
  const endpoints = await fetch(api, {
    headers: { Accept: "application/json", ...headersFor(api) },
    signal: AbortSignal.timeout(timeout),
    cache: "no-store",
  })
    .then((response) => response.json())
    .then((root) => root.endpoints ?? {})
    .catch(() => ({}));
  const address = (name) => named[name] ?? (endpoints[name] ? parseApi(baseOf(new URL(endpoints[name], api).href, name)) : null);
  return { feedback: address("feedback"), writer: address("writer") };
}

/** An endpoint may be named whole ("/feedback", "/write") or by its base. */
const baseOf = (url, name) => url.replace(name === "writer" ? /\/write\/?$/ : /\/feedback\/?$/, "/");
