// Small helpers around the DOM.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; strings become text. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Shows or hides elements: `show({ stage: true, batch: false })`. */
export function show(visible) {
  for (const [id, value] of Object.entries(visible)) byId(id).hidden = !value;
}

/** Says something to people who listen to the page instead of looking at it. */
export function announce(message) {
  const live = byId("live");
  // The same words twice are two events: an empty region in between makes the second one heard.
  live.textContent = "";
  setTimeout(() => (live.textContent = message), 50);
}

/** Hands a file to the user. */
export function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Copies text; false where the browser does not allow it (pages without https). */
export async function copy(content) {
  try {
    await navigator.clipboard.writeText(content);
    return true;
  } catch {
    return false;
  }
}

/** Writes words where other ones stand: screen readers announce what is written into a live region, same or not. */
export function setText(id, words) {
  if (byId(id).textContent !== words) byId(id).textContent = words;
}
