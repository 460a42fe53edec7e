// As much of WebAssembly's binary format (https://webassembly.github.io/spec/core/binary/) as it takes to count which
// functions of a module run, and to replace the bodies of the others. Every index and every other byte stays as it is.

const SECTION = { import: 2, function: 3, global: 6, export: 7, code: 10 };
const HEADER_BYTES = 8;
const [FUNCTION, GLOBAL] = [0, 3];
/** No locals, `unreachable`, `end`: a function that stops with a RuntimeError when it is called. */
const TRAP = Uint8Array.of(0x00, 0x00, 0x0b);
/** Exports that begin so tell whether a function of an instrumented module has run. */
const RAN = "ran ";

/** The bodies of the functions that a module defines, in order, without their sizes: Uint8Array[]. */
export function bodiesOf(module) {
  const { start, end } = section(module, SECTION.code);
  return parse(module, start, end, (read) => read.bytes(read.number()));
}

/** The module, with what `change(body, index)` gives for each body of a function. */
export function withBodies(module, change) {
  const bodies = bodiesOf(module).map((body, index) => sized(change(body, index)));
  return rewritten(module, { [SECTION.code]: joined([number(bodies.length), ...bodies]) });
}

/** The module, with one more function, of a type among the module's, and the index by which it is called. */
export function withFunction(module, type, body) {
  const [types, bodies] = [SECTION.function, SECTION.code].map((id) => list(module, section(module, id)));
  const more = rewritten(module, {
    [SECTION.function]: joined([number(types.count + 1), types.rest, number(type)]),
    [SECTION.code]: joined([number(bodies.count + 1), bodies.rest, sized(body)]),
  });
  return { module: more, index: imported(module, section(module, SECTION.import), FUNCTION) + types.count };
}

/** The module, with only the functions in `kept` (a Set of places in `bodiesOf`): any other traps when it is called. */
export const reduced = (module, kept) => withBodies(module, (body, index) => (kept.has(index) ? body : TRAP));

/** The module, counting: each function sets a global of its own, which is exported. `ranIn` reads them. */
export function instrumented(module) {
  const count = bodiesOf(module).length;
  const globals = list(module, section(module, SECTION.global));
  const first = imported(module, section(module, SECTION.import), GLOBAL) + globals.count;
  const exports = list(module, section(module, SECTION.export));
  const indices = Array.from({ length: count }, (_, i) => i);
  // (global (mut i32) (i32.const 0))
  const added = indices.map(() => Uint8Array.of(0x7f, 0x01, 0x41, 0x00, 0x0b));
  const shown = indices.map((i) => joined([sized(new TextEncoder().encode(RAN + i)), Uint8Array.of(GLOBAL), number(first + i)]));
  const counting = withBodies(module, (body, index) => {
    const after = endOfLocals(body);
    // i32.const 1, global.set
    const note = joined([Uint8Array.of(0x41, 0x01, 0x24), number(first + index)]);
    return joined([body.subarray(0, after), note, body.subarray(after)]);
  });
  return rewritten(counting, {
    [SECTION.global]: joined([number(globals.count + count), globals.rest, ...added]),
    [SECTION.export]: joined([number(exports.count + count), exports.rest, ...shown]),
  });
}

/** The functions that have run in an instance of an instrumented module: places in `bodiesOf`. */
export const ranIn = ({ exports }) =>
  Object.keys(exports)
    .filter((name) => name.startsWith(RAN) && exports[name].value)
    .map((name) => Number(name.slice(RAN.length)));

/** Functions as text, to keep: ranges such as 3-7 of ascending numbers, a line of them about as long as this one. */
export function toRanges(functions) {
  const ranges = [];
  for (const one of [...functions].sort((a, b) => a - b)) {
    if (ranges.at(-1)?.[1] === one - 1) ranges.at(-1)[1] = one;
    else ranges.push([one, one]);
  }
  const words = ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));
  return `${words.join(" ").replace(/(.{1,110})( |$)/g, "$1\n")}`;
}

/** What `toRanges` wrote, as a Set. */
export function fromRanges(text) {
  const kept = new Set();
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const [from, to = from] = word.split("-").map(Number);
    for (let one = from; one <= to; one++) kept.add(one);
  }
  return kept;
}

/** [{ id, begin, start, end }]: from `begin` a section with its head, from `start` its content. */
function sections(module) {
  return parse(module, HEADER_BYTES, module.length, (read) => {
    const begin = read.at;
    const id = read.byte();
    const size = read.number();
    const start = read.at;
    read.bytes(size);
    return { id, begin, start, end: read.at };
  }, { counted: false });
}

/** The section of a kind, or undefined: a module need not have it. */
const section = (module, wanted) => sections(module).find(({ id }) => id === wanted);

function rewritten(module, contents) {
  const parts = sections(module).map(({ id, begin, end }) =>
    contents[id] ? joined([Uint8Array.of(id), sized(contents[id])]) : module.subarray(begin, end),
  );
  return joined([module.subarray(0, HEADER_BYTES), ...parts]);
}

/** The number of entries of a section, and their bytes. */
function list(module, { start, end }) {
  const read = reader(module, start);
  return { count: read.number(), rest: module.subarray(read.at, end) };
}

/** How many of a kind are imported. */
function imported(module, section, wanted) {
  // A module need not import anything.
  if (!section) return 0;
  const { start, end } = section;
  const kinds = parse(module, start, end, (read) => {
    read.bytes(read.number());
    read.bytes(read.number());
    const kind = read.byte();
    if (kind === FUNCTION) read.number();
    else if (kind === GLOBAL) read.bytes(2);
    else {
      // A table's type of elements, then limits as of a memory.
      if (kind === 1) read.byte();
      const limits = read.byte();
      read.number();
      if (limits & 1) read.number();
    }
    return kind;
  });
  return kinds.filter((kind) => kind === wanted).length;
}

function endOfLocals(body) {
  const read = reader(body, 0);
  for (let groups = read.number(); groups > 0; groups--) {
    read.number();
    read.byte();
  }
  return read.at;
}

function parse(data, start, end, entry, { counted = true } = {}) {
  const read = reader(data, start);
  const entries = [];
  for (let left = counted ? read.number() : Infinity; left > 0 && read.at < end; left--) entries.push(entry(read));
  return entries;
}

function reader(data, at) {
  return {
    get at() {
      return at;
    },
    byte: () => data[at++],
    bytes: (count) => data.subarray(at, (at += count)),
    /** LEB128, unsigned. */
    number() {
      let [value, scale] = [0, 1];
      for (; ; scale *= 128) {
        const byte = data[at++];
        value += (byte & 127) * scale;
        if (byte < 128) return value;
      }
    },
  };
}

/** An unsigned number as LEB128. */
export function number(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Uint8Array.of(...bytes, value);
}

const sized = (content) => joined([number(content.length), content]);

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
