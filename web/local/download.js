// Files on their way, and how much of them is here.

import { headersFor } from "../lib/api.js";
import { Problem } from "../lib/problem.js";

/** What is asked for is not there, or nothing is. */
export const lost = () => new Problem(navigator.onLine ? "modelMissing" : "offline");

/** @throws {Problem} modelMissing, offline */
export async function get(url, signal) {
  const response = await fetch(url, { headers: headersFor(url), signal }).catch(() => Promise.reject(lost()));
  if (!response.ok) throw lost();
  return response;
}

/**
 * Fetches a file of `unpacked` bytes; `progress(bytes, expected)` hears of every piece, in bytes on the way.
 *
 * @throws {Problem} modelMissing, offline
 */
export async function download(url, unpacked, progress, signal) {
  const response = await get(url, signal);
  const expected = Number(response.headers.get("Content-Length") ?? 0);
  // Of a body that comes compressed the pieces are unpacked already, and the header tells the smaller size. Whether it does
  // no other origin says; but only what is kept gzipped comes as small as it is announced.
  const kept = url.pathname.endsWith(".gz") && !response.headers.get("Content-Encoding");
  const share = expected && !kept ? expected / unpacked : 1;
  const chunks = [];
  let bytes = 0;
  try {
    for (const reader = response.body.getReader(); ; ) {
      const { value, done } = await reader.read();
      if (done) return joined(chunks, bytes);
      chunks.push(value);
      bytes += value.length;
      progress(bytes * share, Math.max(expected, bytes * share));
    }
  } catch {
    throw lost();
  }
}

function joined(chunks, bytes) {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole.buffer;
}

/** Adds up the progress of `count` downloads, and tells nothing before all of them are known: a total would be too small. */
export function together(count, progress) {
  const files = new Map();
  const sum = (index) => [...files.values()].reduce((total, file) => total + file[index], 0);
  const note = (name, file) => {
    files.set(name, file);
    if (files.size === count) progress(sum(0), sum(1));
  };
  return (name, expected) => {
    note(name, [0, expected]);
    return (...file) => note(name, file);
  };
}
