// A chosen file → an upright photo, small enough to send.

import { Problem } from "./api.js";

/** The network sees far fewer pixels than this; more only costs upload time. */
const LONGEST_SIDE = 1024;
const JPEG_QUALITY = 0.85;
const THUMBNAIL_SIDE = 240;
/** Files up to here go as they are when they are small in pixels too: coding them again would only blur them. */
const SMALL_BYTES = 200_000;
/** Serverless platforms refuse request bodies over 4.5 MB; the form around the photo needs some of it. */
const LARGEST_BYTES = 4_400_000;
/** Types that the API reads as they are. */
const SENT_AS_IS = ["image/jpeg", "image/png", "image/webp"];

const PHOTO_NAME = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])$/i;
const HEIC = /hei[cf]/i;
const HEIC_NAME = /\.hei[cf]$/i;

/**
 * Reads a file as a photo.
 *
 * @returns {Promise<{name, bytes, blob, sentName, opened, heic?, width?, height?, sentWidth?, sentHeight?, thumbnail?}>}
 *   blob is what goes out. Where this browser can't open the format, `opened` is false and blob is the file itself: the
 *   API may still know it.
 * @throws {Problem} notPhoto, empty, undecodable, heic
 */
export async function readPhoto(file, name) {
  if (file.size === 0) throw new Problem("empty", { name });
  const bitmap = await decode(typed(file, name));
  if (!bitmap) return unopened(file, name);
  const { width, height } = bitmap;
  const canvas = draw(bitmap, Math.min(1, LONGEST_SIDE / Math.max(width, height)));
  bitmap.close?.();
  return {
    name,
    bytes: file.size,
    opened: true,
    width,
    height,
    sentWidth: canvas.width,
    sentHeight: canvas.height,
    thumbnail: await thumbnail(canvas),
    ...(await outgoing(file, name, canvas, width)),
  };
}

async function outgoing(file, name, canvas, width) {
  const asIs = canvas.width === width && file.size <= SMALL_BYTES && SENT_AS_IS.includes(file.type);
  if (asIs) return { blob: file, sentName: name };
  const blob = await toBlob(canvas, JPEG_QUALITY);
  return { blob, sentName: `${name.replace(/\.[^.]*$/, "")}.jpg` };
}

/** The photo in a blob, upright, on a canvas; null if this browser can't open it. */
export async function canvasOf(blob) {
  const bitmap = await decode(blob);
  if (!bitmap) return null;
  const canvas = draw(bitmap, 1);
  bitmap.close?.();
  return canvas;
}

/** The file with a type: many systems know none for HEIC, and an <img> may go by it. */
const typed = (file, name) => (!file.type && HEIC_NAME.test(name) ? new Blob([file], { type: "image/heic" }) : file);

/** The photo in a blob, turned upright; null if this browser can't open it. */
async function decode(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
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

function draw(bitmap, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  // What is transparent lies on white, as in the API; JPEG would make it black.
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function unopened(file, name) {
  const heic = HEIC.test(file.type) || HEIC.test(name.split(".").pop());
  if (!file.type.startsWith("image/") && !PHOTO_NAME.test(name)) throw new Problem("notPhoto", { name });
  if (file.size > LARGEST_BYTES) throw heic ? new Problem("heic") : new Problem("undecodable", { name, bytes: file.size });
  return { name, bytes: file.size, opened: false, heic, blob: file, sentName: name };
}

/** A square from the middle of the photo, for lists. */
function thumbnail(canvas) {
  const small = document.createElement("canvas");
  small.width = small.height = THUMBNAIL_SIDE;
  const edge = Math.min(canvas.width, canvas.height);
  const [x, y] = [(canvas.width - edge) / 2, (canvas.height - edge) / 2];
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, x, y, edge, edge, 0, 0, THUMBNAIL_SIDE, THUMBNAIL_SIDE);
  return toBlob(small, 0.8);
}

function toBlob(canvas, quality) {
  return new Promise((resolve, reject) => {
    const done = (blob) => (blob ? resolve(blob) : reject(new Error("this browser could not write a JPEG.")));
    canvas.toBlob(done, "image/jpeg", quality);
  });
}
