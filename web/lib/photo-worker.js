// Photos opened, reduced and coded off the page's thread, so that three thousand of them never make the page wait.

import { bitmapOf, reduced } from "./pixels.js";

addEventListener("message", async ({ data: { id, blob, keep } }) => {
  try {
    const bitmap = await bitmapOf(blob);
    const output = await reduced(bitmap, keep);
    bitmap.close();
    postMessage({ id, output });
  } catch {
    // The page's thread may know more ways to open it.
    postMessage({ id, output: null });
  }
});
