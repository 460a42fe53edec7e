// Photos that come by drop, folder or address.

import { looksLikePhoto } from "./photo.js";
import { Problem } from "./problem.js";

const HIDDEN = /(^|\/)\./;

/** The photos among the files of a folder, and how many other files were left out. */
export function onlyPhotos(files) {
  const found = files.filter((file) => looksLikePhoto(file) && !HIDDEN.test(file.webkitRelativePath || file.name));
  return { found, leftOut: files.length - found.length };
}

/** What a drop brought: files, the photos in folders, or else addresses of pictures. */
export async function filesOf({ files, entries, text }) {
  if (!entries.some((entry) => entry.isDirectory)) return { found: files.length ? files : addressesIn(text), leftOut: 0 };
  const single = [];
  const inFolders = [];
  for (const entry of entries) {
    if (entry.isDirectory) await walk(entry, inFolders);
    else single.push(await fileOf(entry));
  }
  const { found, leftOut } = onlyPhotos(inFolders);
  return { found: [...single, ...found], leftOut };
}

async function walk(folder, files) {
  const reader = folder.createReader();
  // A reader gives a folder in portions, the last one empty.
  for (;;) {
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!portion.length) return;
    for (const entry of portion.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))) {
      if (entry.isDirectory) await walk(entry, files);
      else files.push(await fileOf(entry));
    }
  }
}

const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

/** The web addresses in a text, one a line or a word, as what can be asked about. */
export function addressesIn(text) {
  const words = text.split(/\s+/).filter((word) => /^https?:\/\/\S+$/i.test(word) && URL.canParse(word));
  return [...new Set(words)].map((url) => ({ url, name: nameOf(url) }));
}

function nameOf(url) {
  const { pathname, host } = new URL(url);
  const name = pathname.split("/").pop() || host;
  try {
    return decodeURIComponent(name);
  } catch {
    // A percent sign that stands for itself.
    return name;
  }
}

/** Fetches a picture from its address, by this browser: nobody else hears of it. @throws {Problem} urlRefused, urlMissing, urlNoPhoto */
export async function fetchPhoto(url) {
  const { host } = new URL(url);
  let response;
  try {
    response = await fetch(url, { credentials: "omit" });
  } catch {
    throw new Problem(globalThis.navigator?.onLine === false ? "offline" : "urlRefused", { host });
  }
  if (!response.ok) throw new Problem("urlMissing", { host, status: response.status });
  const blob = await response.blob();
  if (/^text\/|json/.test(blob.type)) throw new Problem("urlNoPhoto", { host });
  return new File([blob], nameOf(url), { type: blob.type });
}
