// Plots as SVG, from rows of {value, count, agreement, interval: [low, high]}. Every mark has its figures as a title.

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with attributes and children. */
function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export const percent = (share) => `${(share * 100).toFixed(1)} %`;

function title(row, name) {
  const [low, high] = row.interval;
  return element("title", {}, `${name}: ${percent(row.agreement)} of ${row.count} agree (${percent(low)} to ${percent(high)})`);
}

function picture(width, height, name) {
  return element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name });
}

/** Horizontal bars, one a row, with their intervals. */
export function bars(rows, name) {
  const width = 420, left = 150, right = 60, step = 24;
  const made = picture(width, rows.length * step + 4, name);
  const x = (share) => left + share * (width - left - right);
  rows.forEach((row, i) => {
    const y = i * step + 4;
    const label = String(row.value);
    made.append(element("g", {}, title(row, label),
      element("text", { x: left - 8, y: y + 12, class: "name" }, label.length > 20 ? `${label.slice(0, 19)}…` : label),
      element("rect", { x: left, y, width: x(1) - left, height: 16, class: "track" }),
      element("rect", { x: left, y, width: Math.max(1, x(row.agreement) - left), height: 16, class: "bar" }),
      element("line", { x1: x(row.interval[0]), x2: x(row.interval[1]), y1: y + 8, y2: y + 8, class: "interval" }),
      element("text", { x: width - right + 8, y: y + 12 }, row.count.toLocaleString("en"))));
  });
  return made;
}

/** Points over a scale from 0 to 1 on both axes, or over the rows in order. */
export function points(rows, name, { at, label, diagonal = false }) {
  const width = 420, height = 190, left = 48, bottom = 24, top = 8;
  const made = picture(width, height, name);
  const x = (share) => left + share * (width - left - 12);
  const y = (share) => top + (1 - share) * (height - top - bottom);
  for (const share of [0, 0.5, 1]) {
    made.append(element("line", { x1: left, x2: width - 12, y1: y(share), y2: y(share), class: "grid" }),
      element("text", { x: left - 6, y: y(share) + 4, class: "name" }, `${share * 100} %`));
  }
  if (diagonal) made.append(element("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "diagonal" }));
  const most = Math.max(...rows.map((row) => row.count));
  rows.forEach((row, i) => {
    const [low, high] = row.interval;
    made.append(element("g", {}, title(row, label(row)),
      element("line", { x1: x(at(row, i)), x2: x(at(row, i)), y1: y(low), y2: y(high), class: "interval" }),
      element("circle", { cx: x(at(row, i)), cy: y(row.agreement), r: 2.5 + 3 * Math.sqrt(row.count / most), class: "bar" })));
  });
  for (const i of new Set([0, rows.length - 1])) {
    const anchor = i ? "end" : "start";
    made.append(element("text", { x: i || rows.length === 1 ? width - 12 : left, y: height - 6, "text-anchor": rows.length === 1 ? "end" : anchor },
      label(rows[i])));
  }
  return made;
}
