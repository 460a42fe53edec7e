// A chosen file → an upright photo, small enough to send.

import { bitmapOf, draw, part, reduced } from "./pixels.js";
import { Problem } from "./problem.js";

/** Files up to here go as they are when they are small in pixels too: coding them again would only blur them. */
const SMALL_BYTES = 200_000;
/** Serverless platforms refuse request bodies over 4.5 MB; the form around the photo needs some of it. */
const LARGEST_BYTES = 4_400_000;
/** Types that the API reads as they are. */
const SENT_AS_IS = ["image/jpeg", "image/png", "image/webp"];

const PHOTO_NAME = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])$/i;
const HEIC = /hei[cf]/i;
const HEIC_NAME = /\.hei[cf]$/i;

/** Whether a file may be a photo, by what it calls itself. */
export const looksLikePhoto = ({ name, type }) => (type ? type.startsWith("image/") : PHOTO_NAME.test(name));

/**
 * Reads a file as a photo.
 *
 * @returns {Promise<{name, bytes, blob, sentName, opened, heic?, width?, height?, sentWidth?, sentHeight?, thumbnail?}>}
 *   blob is what goes out. Where this browser can't open the format, `opened` is false and blob is the file itself: the
 *   API may still know it.
 * @throws {Problem} notPhoto, empty, undecodable, heic, gone
 */
export async function readPhoto(file, name) {
  if (file.size === 0) throw new Problem("empty", { name });
  const keep = file.size <= SMALL_BYTES && SENT_AS_IS.includes(file.type);
  const photo = (await inWorker(typed(file, name), keep)) ?? (await onPage(typed(file, name), keep));
  if (!photo) {
    if (await vanished(file)) throw new Problem("gone", { name });
    return unopened(file, name);
  }
  const { jpeg, ...sizes } = photo;
  const sentName = jpeg ? `${name.replace(/\.[^.]*$/, "")}.jpg` : name;
  return { name, bytes: file.size, opened: true, ...sizes, blob: jpeg ?? file, sentName };
}

/** The photo in a blob, upright, on a canvas; null if this browser can't open it. */
export async function canvasOf(blob) {
  const bitmap = await decode(blob);
  if (!bitmap) return null;
  const make = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
  const canvas = draw(bitmap, 1, make);
  bitmap.close?.();
  return canvas;
}

/** A part of the photo in a blob, as a file; the box is in shares of the whole. */
export async function partOf(blob, box, name) {
  const bitmap = await decode(blob);
  const jpeg = await part(bitmap, box);
  bitmap.close?.();
  return new File([jpeg], name, { type: "image/jpeg" });
}

/** A file that was moved or deleted since it was chosen. */
async function vanished(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return false;
  } catch {
    return true;
  }
}

/** The file with a type: many systems know none for HEIC, and an <img> may go by it. */
const typed = (file, name) => (!file.type && HEIC_NAME.test(name) ? new Blob([file], { type: "image/heic" }) : file);

let worker;
const waiting = new Map();
let lastId = 0;

/** Reads in a worker; null where there is none, or it can't. */
function inWorker(blob, keep) {
  if (!globalThis.OffscreenCanvas || worker === null) return null;
  worker ??= newWorker();
  const id = ++lastId;
  worker.postMessage({ id, blob, keep });
  return new Promise((resolve) => waiting.set(id, resolve));
}

function newWorker() {
  const made = new Worker(new URL("photo-worker.js", import.meta.url), { type: "module" });
  made.addEventListener("message", ({ data: { id, output } }) => {
    waiting.get(id)(output);
    waiting.delete(id);
  });
  // A server that sends scripts as something else, or a browser without module workers: the page reads by itself.
  made.addEventListener("error", () => {
    worker = null;
    for (const resolve of waiting.values()) resolve(null);
    waiting.clear();
  });
  return made;
}

async function onPage(blob, keep) {
  const bitmap = await decode(blob);
  if (!bitmap) return null;
  const photo = await reduced(bitmap, keep);
  bitmap.close?.();
  return photo;
}

/** The photo in a blob, turned upright; null if this browser can't open it. */
async function decode(blob) {
  try {
    return await bitmapOf(blob);
  } catch {
    // Older browsers don't know that option, and turn what an <img> shows. Some show there what they make no bitmap of,
    // as Safari does with HEIC.
    return shown(blob);
  }
}

async function shown(blob) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

function unopened(file, name) {
  const heic = HEIC.test(file.type) || HEIC.test(name.split(".").pop());
  if (!looksLikePhoto({ name, type: file.type.startsWith("image/") ? file.type : "" })) throw new Problem("notPhoto", { name });
  if (file.size > LARGEST_BYTES) throw heic ? new Problem("heic") : new Problem("undecodable", { name, bytes: file.size });
  return { name, bytes: file.size, opened: false, heic, blob: file, sentName: name };
}
