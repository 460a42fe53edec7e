// Server-sent events of an answer to POST, which EventSource cannot send.

/** The events in a stream of bytes: { event, data }, data parsed as JSON. */
export async function* eventsOf(stream) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of chunksOf(stream)) {
    // Of the two that end a line one may come with the next piece.
    rest = (rest + decoder.decode(bytes, { stream: true })).replaceAll("\r\n", "\n");
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (event) yield event;
    }
  }
}

/** Safari's streams are no async iterables. */
async function* chunksOf(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parsed(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}
