// What files are known by: files.json and a model's metadata name it.

/** The SHA-256 of bytes, in hexadecimal. Browsers have it on https and localhost only. */
export async function digest(data) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
