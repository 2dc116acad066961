// The row of thumbnails below the picture. Only those in view are on the page: the browser looks at every element of a page in every
// frame, and a set may have thousands.
import { make } from "./elements.js";
import { thumbnailURL } from "./server.js";

const STEP = 63;        // pixels from one thumbnail to the next: its 60 of the style sheet and a gap
const AROUND = 6;       // thumbnails kept ready on either side of those in view

export class Strip {
  // onPick(place); ratingOf(image): a saved rating, or ""; isCurrent(place)
  constructor({ onPick, ratingOf, isCurrent }) {
    Object.assign(this, { onPick, ratingOf, isCurrent });
    this.track = make("div", { className: "cg-track" });
    this.element = make("div", { className: "cg-strip", onscroll: () => this.draw() }, this.track);
    this.fill("", []);
  }

  // A set's pictures; nothing is drawn yet
  fill(set, images) {
    this.set = set;
    this.images = images;
    this.scrolled = -1e9;
    this.thumbs = new Map();      // place -> button
    this.places = new Map(images.map((image, place) => [image, place]));
    this.track.replaceChildren();
    this.track.style.width = `${images.length * STEP}px`;
  }

  draw() {
    const from = Math.floor(this.element.scrollLeft / STEP) - AROUND, to = from + Math.ceil(window.innerWidth / STEP) + 2 * AROUND;
    for (const [place, thumb] of this.thumbs) {
      if (place >= from && place <= to) continue;
      thumb.remove();
      this.thumbs.delete(place);
    }
    for (let place = Math.max(from, 0); place <= Math.min(to, this.images.length - 1); place++) {
      if (!this.thumbs.has(place)) this.track.append(this.thumb(place));
    }
  }

  goTo(index) {
    const place = index * STEP;
    if (!(place > this.scrolled + STEP && place < this.scrolled + 8 * STEP)) {      // only when it has left the view: scrolling costs a layout
      this.scrolled = Math.max(place - 2 * STEP, 0);
      this.element.scrollLeft = this.scrolled;
      this.draw();
    }
    this.current?.removeAttribute("aria-current");
    this.current = this.thumbs.get(index);
    this.current?.setAttribute("aria-current", "true");
  }

  thumb(place) {
    const image = this.images[place];
    const thumb = make("button", { type: "button", tabIndex: -1, title: String(place + 1), onclick: () => this.onPick(place) },
      make("img", { decoding: "async", src: thumbnailURL(this.set, image), alt: "" }), String(place + 1));
    thumb.style.left = `${place * STEP}px`;
    if (this.isCurrent(place)) (this.current = thumb).setAttribute("aria-current", "true");
    this.thumbs.set(place, thumb);
    this.mark(image);
    return thumb;
  }

  mark(image) {
    const thumb = this.thumbs.get(this.places.get(image));
    if (thumb) thumb.dataset.rating = this.ratingOf(image);
  }
}
