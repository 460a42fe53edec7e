// Pixels of a photo, on the page's thread or in a worker: upright, on white, small.

/** The network sees far fewer pixels than this; more only costs upload time. */
const LONGEST_SIDE = 1024;
const JPEG_QUALITY = 0.85;
export const THUMBNAIL_SIDE = 240;
const THUMBNAIL_QUALITY = 0.8;

/** The photo in a blob, turned upright; throws where this browser can't open it. */
export const bitmapOf = (blob) => createImageBitmap(blob, { imageOrientation: "from-image" });

/**
 * What the page needs of a photo: its sizes, a JPEG to send, a square thumbnail.
 *
 * @param {ImageBitmap | HTMLImageElement} bitmap
 * @param {boolean} keep the file itself is sent where its pixels are few: then `jpeg` and `thumbnail` are null
 */
export async function reduced(bitmap, keep) {
  const { width, height } = bitmap;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const sizes = { width, height, sentWidth: scaled(width, scale), sentHeight: scaled(height, scale) };
  // Coding takes ten times as long as opening: of a small photo the thumbnail is made when somebody sees it.
  if (keep && scale === 1) return { ...sizes, jpeg: null, thumbnail: null };
  const canvas = draw(bitmap, scale);
  return { ...sizes, jpeg: await coded(canvas, JPEG_QUALITY), thumbnail: await coded(square(canvas), THUMBNAIL_QUALITY) };
}

/** A square from the middle of a photo, for lists, on a canvas of its own or on this one. */
export function square(photo, small = newCanvas(THUMBNAIL_SIDE, THUMBNAIL_SIDE)) {
  const edge = Math.min(photo.width, photo.height);
  const [x, y] = [(photo.width - edge) / 2, (photo.height - edge) / 2];
  white(small).drawImage(photo, x, y, edge, edge, 0, 0, small.width, small.height);
  return small;
}

/** A part of a photo, as a JPEG; the box is in shares of the whole: 0 to 1. */
export function part(bitmap, { x, y, width, height }) {
  const from = { width: bitmap.width * width, height: bitmap.height * height };
  const scale = Math.min(1, LONGEST_SIDE / Math.max(from.width, from.height));
  const canvas = newCanvas(scaled(from.width, scale), scaled(from.height, scale));
  const [left, top] = [bitmap.width * x, bitmap.height * y];
  white(canvas).drawImage(bitmap, left, top, from.width, from.height, 0, 0, canvas.width, canvas.height);
  return coded(canvas, JPEG_QUALITY);
}

/** The bitmap on a canvas of its own. */
export function draw(bitmap, scale, make = newCanvas) {
  const canvas = make(scaled(bitmap.width, scale), scaled(bitmap.height, scale));
  white(canvas).drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

const scaled = (side, scale) => Math.max(1, Math.round(side * scale));

/** The bitmap's pixels: RGBA, height x width x 4. */
export function rgbaOf(bitmap) {
  const canvas = newCanvas(bitmap.width, bitmap.height);
  const context = white(canvas, { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/** What is transparent lies on white, as in the API; JPEG would make it black. */
function white(canvas, options) {
  const context = canvas.getContext("2d", options);
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  return context;
}

function newCanvas(width, height) {
  if (globalThis.OffscreenCanvas) return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement("canvas"), { width, height });
}

function coded(canvas, quality) {
  if (canvas.convertToBlob) return canvas.convertToBlob({ type: "image/jpeg", quality });
  return new Promise((resolve, reject) => {
    const done = (blob) => (blob ? resolve(blob) : reject(new Error("this browser could not write a JPEG.")));
    canvas.toBlob(done, "image/jpeg", quality);
  });
}
