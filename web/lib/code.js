// The same request for a terminal or a program. The key stays out of it: people paste commands into chats.

import { keyFor } from "./settings.js";

/** How to ask about the file `name` in "curl", "python" or "javascript". */
export function codeFor(kind, api, name) {
  const address = new URL("predict?explain=true", api).href;
  return { curl, python, javascript }[kind](address, name, Boolean(keyFor(api)));
}

function curl(address, name, keyed) {
  const key = keyed ? ` -H "X-API-Key: $API_KEY"` : "";
  // curl's -F takes ; and , in a file name for options unless the name is in double quotes.
  const file = name.replace(/[\\"]/g, "\\$&");
  return `curl${key} -F ${quoted(`file=@"${file}"`)} ${quoted(address)}`;
}

const quoted = (word) => `'${word.replaceAll("'", `'\\''`)}'`;

function python(address, name, keyed) {
  const key = keyed ? `,\n    headers={"X-API-Key": os.environ["API_KEY"]}` : "";
  return `${keyed ? "import os\n\n" : ""}import requests

with open(${JSON.stringify(name)}, "rb") as photo:
    response = requests.post(${JSON.stringify(address)}, files={"file": photo}${key}, timeout=30)
response.raise_for_status()
answer = response.json()
print(answer["prediction"], answer["confidence"], answer["recognized"])
`;
}

function javascript(address, name, keyed) {
  const key = keyed ? `, headers: { "X-API-Key": process.env.API_KEY }` : "";
  return `import { openAsBlob } from "node:fs";

const form = new FormData();
form.append("file", await openAsBlob(${JSON.stringify(name)}), ${JSON.stringify(name)});
const response = await fetch(${JSON.stringify(address)}, { method: "POST", body: form${key} });
if (!response.ok) throw new Error(await response.text());
const { prediction, confidence, recognized } = await response.json();
console.log(prediction, confidence, recognized);
`;
}
