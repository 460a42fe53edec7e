// The answer as a picture to share: the photo with its heat, and what was said.

import { element } from "../lib/dom.js";
import { formatProbability, text } from "../lib/text.js";
import { headlineOf, isBoth, unrecognized } from "./answer.js";
import { drawHeatmap, mapsOf } from "./heatmap.js";

const [WIDTH, HEIGHT, EDGE] = [1200, 630, 48];
const COLOURS = { paper: "#faf7f2", ink: "#26211b", muted: "#675e53", accent: "#a4471a" };

/** Shows the system's share sheet with the picture, or saves it where there is none. */
export async function share(item, photo) {
  const blob = await card(item, photo);
  const file = new File([blob], `${item.name.replace(/\.[^.]*$/, "")} purrdict.png`, { type: "image/png" });
  if (navigator.canShare?.({ files: [file] })) {
    try {
      await navigator.share({ files: [file], title: headlineOf(item.answer) });
      return;
    } catch (error) {
      // Closed again by the visitor: that is an answer, too.
      if (error.name === "AbortError") return;
    }
  }
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: file.name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The picture, 1200 x 630 as previews of links are. @returns {Promise<Blob>} */
export async function card({ answer }, photo) {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext("2d");
  context.fillStyle = COLOURS.paper;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  const half = (WIDTH - 3 * EDGE) / 2;
  contain(context, warmed(answer, photo), { x: EDGE, y: EDGE, width: half, height: HEIGHT - 2 * EDGE });
  words(context, answer, { x: 2 * EDGE + half, width: half });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function warmed(answer, photo) {
  const whole = Object.assign(document.createElement("canvas"), { width: photo.width, height: photo.height });
  const context = whole.getContext("2d");
  context.drawImage(photo, 0, 0);
  if (!answer.heatmap) return whole;
  const glow = Object.assign(document.createElement("canvas"), { width: photo.width, height: photo.height });
  drawHeatmap(glow, mapsOf(answer));
  context.drawImage(glow, 0, 0);
  return whole;
}

function contain(context, picture, { x, y, width, height }) {
  const scale = Math.min(width / picture.width, height / picture.height);
  const [w, h] = [picture.width * scale, picture.height * scale];
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, x + (width - w) / 2, y + (height - h) / 2, w, h);
}

function words(context, answer, { x, width }) {
  const family = "system-ui, sans-serif";
  const headline = answer.recognized ? headlineOf(answer) : unrecognized(answer);
  const sure = answer.recognized && !isBoth(answer) ? text("answer.sure", { confidence: formatProbability(answer.confidence) }) : "";
  let y = HEIGHT / 2 - 40;
  context.fillStyle = COLOURS.ink;
  for (const line of lines(context, headline, width, `700 68px ${family}`)) {
    context.fillText(line, x, y);
    y += 78;
  }
  context.fillStyle = COLOURS.muted;
  context.font = `400 36px ${family}`;
  context.fillText(sure, x, y);
  context.fillStyle = COLOURS.accent;
  context.font = `600 28px ${family}`;
  context.fillText("Purrdict", x, HEIGHT - EDGE);
}

function lines(context, words, width, font) {
  context.font = font;
  const found = [""];
  for (const word of words.split(" ")) {
    const longer = `${found.at(-1)} ${word}`.trim();
    if (context.measureText(longer).width <= width || !found.at(-1)) found[found.length - 1] = longer;
    else found.push(word);
  }
  return found.slice(0, 3);
}
