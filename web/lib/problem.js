// Why there is no answer.

import { formatBytes, text } from "./text.js";

/** `kind` names a text (problem.<kind>), `values` fill it in. */
export class Problem extends Error {
  constructor(kind, values = {}) {
    super(kind);
    this.kind = kind;
    this.values = values;
  }
}

/** Kinds that say the API as a whole is out of reach, not that it refused one photo. */
export const UNREACHABLE = new Set([
  "offline", "mixed", "cors", "ngrok", "localNetwork", "localNetworkDenied", "down", "timeout", "webPage", "notPurrdict", "noModel",
]);
/** Kinds that new settings may solve. */
export const SOLVED_BY_SETTINGS = new Set(["keyNeeded", "keyWrong", ...UNREACHABLE]);
/** Kinds after which another place may well answer. */
export const ANSWERED_ELSEWHERE = new Set([...SOLVED_BY_SETTINGS, "unavailable", "server", "rate"]);
/** Kinds after which the same request may well succeed. */
export const PASSING = new Set(["down", "timeout", "server", "unavailable"]);
/** Kinds that stay as they are however often the photo is tried. */
export const FINAL = new Set(["notPhoto", "empty", "heic", "undecodable", "unreadable", "tooLarge"]);

/** A problem as a sentence. */
export function problemText({ kind, values = {} }) {
  if (kind === "server") {
    const request = values.id ? text("problem.server.request", { id: values.id }) : "";
    return text("problem.server", { ...values, request });
  }
  const bytes = values.bytes && formatBytes(values.bytes);
  return text(`problem.${kind}`, { ...values, bytes });
}
