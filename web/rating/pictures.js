// Pictures for the page: as they are or veiled, made ready before they are shown.
import { make } from "./elements.js";
import { pictureURL, thumbnailURL } from "./server.js";
import { say } from "./texts.js";

// A picture as a handful of colours, which the page stretches: no filter to compute, and nothing to make out
const VEIL = 7;

function veiled(url) {
  const canvas = make("canvas", { width: VEIL, height: VEIL, ariaLabel: say("blurred") });
  const source = new Image();
  source.onload = () => {
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(source, 0, 0, VEIL, VEIL);
    canvas.dataset.drawn = "yes";
  };
  source.onerror = () => ahead.delete(url);
  source.src = url;
  return canvas;
}

function loaded(url) {
  const image = make("img", { src: url, draggable: false, onerror: () => ahead.delete(url) });
  image.decode().catch(() => {});
  return image;
}

// What is shown next waits here, ready to be put on the page
const ahead = new Map();

function ready(url, prepare) {
  if (!ahead.has(url)) {
    if (ahead.size > 12) ahead.delete(ahead.keys().next().value);
    ahead.set(url, prepare(url));
  }
  return ahead.get(url);
}

export function prepared(set, image, open) {
  return open ? ready(pictureURL(set, image), loaded) : ready(thumbnailURL(set, image), veiled);
}
