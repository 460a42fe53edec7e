// Pixels of a photo, on the page's thread or in a worker: upright, on white, small.

/** The network sees far fewer pixels than this; more only costs upload time. */
const LONGEST_SIDE = 1024;
const JPEG_QUALITY = 0.85;
const THUMBNAIL_SIDE = 240;
const THUMBNAIL_QUALITY = 0.8;

/** The photo in a blob, turned upright; throws where this browser can't open it. */
export const bitmapOf = (blob) => createImageBitmap(blob, { imageOrientation: "from-image" });

/**
 * What the page needs of a photo: its sizes, a JPEG to send, a square thumbnail.
 *
 * @param {ImageBitmap | HTMLImageElement} bitmap
 * @param {(width, height) => boolean} keep whether the file itself is sent; then `jpeg` is null
 */
export async function reduced(bitmap, keep) {
  const { width, height } = bitmap;
  const canvas = draw(bitmap, Math.min(1, LONGEST_SIDE / Math.max(width, height)));
  const asIs = canvas.width === width && keep;
  const thumbnail = await coded(square(canvas), THUMBNAIL_QUALITY);
  const jpeg = asIs ? null : await coded(canvas, JPEG_QUALITY);
  return { width, height, sentWidth: canvas.width, sentHeight: canvas.height, thumbnail, jpeg };
}

/** A part of a photo, as a JPEG; the box is in shares of the whole: 0 to 1. */
export function part(bitmap, { x, y, width, height }) {
  const [from, to] = [{ width: bitmap.width * width, height: bitmap.height * height }, {}];
  const scale = Math.min(1, LONGEST_SIDE / Math.max(from.width, from.height));
  Object.assign(to, { width: Math.max(1, Math.round(from.width * scale)), height: Math.max(1, Math.round(from.height * scale)) });
  const canvas = newCanvas(to.width, to.height);
  const context = white(canvas);
  context.drawImage(bitmap, bitmap.width * x, bitmap.height * y, from.width, from.height, 0, 0, to.width, to.height);
  return coded(canvas, JPEG_QUALITY);
}

/** The bitmap on a canvas of its own. */
export function draw(bitmap, scale, make = newCanvas) {
  const canvas = make(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
  white(canvas).drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The bitmap's pixels: RGBA, height x width x 4. */
export function rgbaOf(bitmap) {
  const canvas = newCanvas(bitmap.width, bitmap.height);
  const context = white(canvas, { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/** A square from the middle of the photo, for lists. */
function square(canvas) {
  const small = newCanvas(THUMBNAIL_SIDE, THUMBNAIL_SIDE);
  const edge = Math.min(canvas.width, canvas.height);
  const [x, y] = [(canvas.width - edge) / 2, (canvas.height - edge) / 2];
  white(small).drawImage(canvas, x, y, edge, edge, 0, 0, THUMBNAIL_SIDE, THUMBNAIL_SIDE);
  return small;
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
