// Files that are kept gzipped where the server says nothing of it.

/** The bytes of a file, unpacked; a server that said so in Content-Encoding has had it unpacked already. */
export async function unpacked(data) {
  const [first, second] = new Uint8Array(data, 0, Math.min(2, data.byteLength));
  if (first !== 0x1f || second !== 0x8b) return data;
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
