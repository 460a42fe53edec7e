// Asks again about a part of the photo: a box drawn with a finger, a mouse, or the arrow keys.

import { byId, element, show } from "../lib/dom.js";
import { partOf } from "../lib/photo.js";
import { text } from "../lib/text.js";

/** The box that is offered first, in shares of the photo. */
const FIRST = { x: 0.25, y: 0.25, width: 0.5, height: 0.5 };
const LEAST = 0.05;
const STEP = 0.02;

/** Draws a box over the photo on the stage; the part in it becomes a photo of its own. */
export function crop(session) {
  const { selected: item } = session;
  const [frame, canvas] = [byId("frame"), byId("photo")];
  let box = { ...FIRST };
  let from = null;
  const outline = element("div", { className: "crop-box", tabIndex: 0, role: "group", "aria-label": text("crop.box") });
  outline.dataset.keys = "";
  const ask = element("button", { type: "button", className: "button primary" }, text("crop.ask"));
  const leave = element("button", { type: "button", className: "button" }, text("settings.cancel"));
  const bar = element("div", { className: "crop-bar" }, element("p", {}, text("crop.how")), element("div", { className: "actions" }, ask, leave));
  const draw = () => place(outline, box, shownPart(canvas));

  const at = (event) => {
    const [whole, part] = [frame.getBoundingClientRect(), shownPart(canvas)];
    return [clamp((event.clientX - whole.left - part.left) / part.width), clamp((event.clientY - whole.top - part.top) / part.height)];
  };
  const down = (event) => {
    frame.setPointerCapture(event.pointerId);
    from = at(event);
    event.preventDefault();
  };
  const move = (event) => {
    if (!from) return;
    const to = at(event);
    const [x, y] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
    box = { x, y, width: Math.max(LEAST, Math.abs(to[0] - from[0])), height: Math.max(LEAST, Math.abs(to[1] - from[1])) };
    draw();
  };
  const up = () => (from = null);
  const keys = (event) => {
    const next = moved(box, event);
    if (event.key === "Escape") return end();
    if (event.key === "Enter") return done();
    if (!next) return;
    event.preventDefault();
    box = next;
    draw();
  };
  const listeners = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up };
  const resized = new ResizeObserver(draw);

  function end() {
    for (const [name, listener] of Object.entries(listeners)) frame.removeEventListener(name, listener);
    resized.disconnect();
    outline.remove();
    bar.remove();
    frame.removeAttribute("data-crop");
    show({ crop: true });
    byId("crop").focus({ preventScroll: true });
  }

  async function done() {
    const name = `${item.name.replace(/\.[^.]*$/, "")} ${text("crop.name")}.jpg`;
    // A file that was moved or deleted meanwhile: asked about as a whole it says so in its place.
    const part = await partOf(item.file, inside(box), name).catch(() => item.file);
    end();
    session.ask([part]);
  }

  frame.toggleAttribute("data-crop", true);
  for (const [name, listener] of Object.entries(listeners)) frame.addEventListener(name, listener);
  outline.addEventListener("keydown", keys);
  ask.addEventListener("click", done);
  leave.addEventListener("click", end);
  frame.append(outline);
  frame.after(bar);
  resized.observe(frame);
  show({ crop: false });
  draw();
  outline.focus({ preventScroll: true });
  // Another photo ends it: the box belongs to this one.
  session.stage.onLeave = end;
}

/** Arrow keys move the box; with Shift they make it larger or smaller. */
export function moved({ x, y, width, height }, { key, shiftKey }) {
  const [dx, dy] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[key] ?? [];
  if (dx === undefined) return null;
  if (shiftKey) return inside({ x, y, width: Math.max(LEAST, width + dx), height: Math.max(LEAST, height + dy) });
  return { x: clamp(x + dx, 1 - width), y: clamp(y + dy, 1 - height), width, height };
}

/** The box, cut at the photo's edges. */
export const inside = ({ x, y, width, height }) => ({ x, y, width: Math.min(width, 1 - x), height: Math.min(height, 1 - y) });

const clamp = (value, most = 1) => Math.min(most, Math.max(0, value));

/** Where the photo is within its frame: it keeps its proportions there. */
function shownPart(canvas) {
  const { clientWidth, clientHeight, width, height } = canvas;
  const scale = Math.min(clientWidth / width, clientHeight / height);
  const [w, h] = [width * scale, height * scale];
  return { left: (clientWidth - w) / 2, top: (clientHeight - h) / 2, width: w, height: h };
}

function place({ style }, { x, y, width, height }, part) {
  style.left = `${part.left + x * part.width}px`;
  style.top = `${part.top + y * part.height}px`;
  style.width = `${width * part.width}px`;
  style.height = `${height * part.height}px`;
}
