// The rating view: a dialog of the page's own over the whole window, worked by keyboard or mouse. It knows nothing of the canvas.
import { button, make } from "./elements.js";
import { press } from "./keys.js";
import { prepared } from "./pictures.js";
import { Outbox, readSet } from "./server.js";
import { stored } from "./store.js";
import { Strip } from "./strip.js";
import { say } from "./texts.js";

const STORE = "concept-guards.rater";

export class RatingView {
  constructor() {
    this.outbox = new Outbox({
      onSaved: (item) => this.saved(item),
      onRefused: (item, reason) => { this.forget(item); this.tell(say("refused", { reason }), true); this.refresh(); },
      onWaiting: (count, reason) => this.tell(say(reason ? "unsavedWhy" : "unsaved", { count, reason }), true),
      onUnstored: () => this.tell(say("unstored"), true),
    });
    this.lately = [];       // all that was saved since the page was opened: an answer of the server may be older
    this.history = [];
    this.pair = null;
    this.skipped = new Set();
  }

  async open(set) {
    if (!this.dialog) this.build();
    if (!this.dialog.open) this.dialog.showModal();
    this.name = set;
    this.state = null;
    this.index = 0;
    this.history = [];
    this.skipped.clear();
    this.tell("");
    this.draw();
    await this.load();
    this.goToFirst();
    this.dialog.focus();
  }

  build() {
    this.rater = make("input", { value: stored((store) => store.getItem(STORE)) || "me", maxLength: 30, size: 12, spellcheck: false, onchange: () => {
      stored((store) => store.setItem(STORE, this.rater.value.trim()));
      this.history = [];
      this.goToFirst();
    } });
    this.rater.classList.add("cg-rater");
    this.mode = make("select", { className: "cg-mode", onchange: () => { this.goToFirst(); this.dialog.focus(); } },
      make("option", { value: "single", textContent: say("single") }), make("option", { value: "pairs", textContent: say("pairs") }));
    this.always = make("input", { type: "checkbox", className: "cg-always", onchange: () => {
      this.strip.element.classList.toggle("cg-open", this.always.checked);
      this.draw();
    } });
    this.progress = make("strong", { className: "cg-progress" });
    this.agreement = make("span", { className: "cg-agreement" });
    this.question = make("h2", { className: "cg-question" });
    this.stage = make("div", { className: "cg-stage" });
    this.answers = make("div", { className: "cg-answers" });
    this.status = make("p", { className: "cg-status", role: "status" });
    this.keys = make("p", { className: "cg-keys" });
    this.strip = new Strip({
      onPick: (place) => { this.mode.value = "single"; this.index = place; this.draw(); this.dialog.focus(); },
      ratingOf: (image) => this.savedRating(image),
      isCurrent: (place) => place === this.index && !this.inPairs,
    });
    this.heading = make("strong", { className: "cg-name" });
    this.dialog = make("dialog", { className: "cg-rating", tabIndex: -1, ariaLabel: say("title") },
      make("header", {}, this.heading, this.progress, this.agreement,
        make("label", {}, say("rater") + " ", this.rater), make("label", {}, say("mode") + " ", this.mode),
        make("label", {}, this.always, " " + say("always")), button(say("close"), () => this.dialog.close(), "cg-close")),
      this.question, this.stage, this.answers, this.status, this.keys, this.strip.element);
    this.dialog.addEventListener("keydown", (event) => press(this, event));
    this.dialog.addEventListener("click", (event) => {       // the mouse's: the keys are the view's again, not those of what was clicked
      if (event.detail && event.target.closest("button, input[type=checkbox]")) this.dialog.focus();
    });
    for (const kind of ["keypress", "paste", "copy", "wheel", "pointerdown"]) {     // none of it is meant for the canvas
      this.dialog.addEventListener(kind, (event) => event.stopPropagation(), { passive: true });
    }
    window.addEventListener("keyup", (event) => {       // the graph listens to the whole document, before us, and draws itself anew at each
      if (this.dialog.contains(event.target)) event.stopPropagation();
    }, { capture: true });
    document.body.append(this.dialog);
  }

  // What the server knows

  async load() {
    const name = this.name, begun = this.lately.length;
    try {
      const state = await readSet(name);
      if (name !== this.name) return;
      state.index = new Map(state.pictures.map((picture, place) => [picture.image, place]));
      this.state = state;
      for (const item of [...this.lately.slice(begun), ...this.outbox.items]) if (item.set === name) this.apply(item);
      this.fillStrip();
    } catch (error) {
      this.tell(say("failed", { reason: error.message }), true);
    }
  }

  async refresh() {
    if (!this.dialog?.open) return;
    const shown = this.picture?.image;
    await this.load();
    if (this.state?.index.has(shown)) this.index = this.state.index.get(shown);
    this.draw();
  }

  filed(set) {
    if (set === this.name && this.dialog?.open) this.refresh();
  }

  // Where we are

  get me() { return this.rater.value.trim(); }
  get picture() { return this.state?.pictures[this.index]; }
  get inPairs() { return this.mode.value === "pairs"; }

  mine(picture) { return picture.ratings[this.me]; }
  waiting(image) { return this.outbox.items.some((item) => item.set === this.name && !item.body.other && item.body.image === image); }
  savedRating(image) {
    const rating = this.mine(this.state.pictures[this.state.index.get(image)]);
    return rating === undefined || this.waiting(image) ? "" : String(rating);
  }
  done() {
    const waiting = new Set(this.outbox.items.filter((item) => item.set === this.name && !item.body.other).map((item) => item.body.image));
    return this.state.pictures.filter((picture) => this.mine(picture) !== undefined && !waiting.has(picture.image)).length;
  }

  // Comparisons that the server has on its disk, like done()
  compared() {
    const waiting = new Set(this.outbox.items.filter((item) => item.set === this.name && item.body.other && item.body.rater === this.me)
      .map((item) => [item.body.image, item.body.other].sort().join("\n")));
    return this.state.comparisons.filter(([a, b, rater]) => rater === this.me && !waiting.has(a + "\n" + b)).length;
  }

  fillStrip() {
    this.strip.fill(this.name, (this.state?.pictures ?? []).map((picture) => picture.image));
  }

  goToFirst() {
    if (!this.state) return;
    const open = this.state.pictures.findIndex((picture) => this.mine(picture) === undefined);
    this.index = Math.max(open, 0);
    this.nextPair();
    this.draw();
  }

  move(step) {
    this.index = Math.min(Math.max(this.index + step, 0), this.state.pictures.length - 1);
    this.draw();
  }

  advance() {
    const count = this.state.pictures.length;
    for (let step = 1; step <= count; step++) {
      const place = (this.index + step) % count;
      if (this.mine(this.state.pictures[place]) === undefined) { this.index = place; return; }
    }
  }

  // Pairs: the two that this rater has compared least, and not with each other
  nextPair() {
    this.pair = null;
    if (!this.inPairs || !this.state || this.state.pictures.length < 2) return;
    const counts = new Map(this.state.pictures.map((picture) => [picture.image, 0])), known = new Set(this.skipped);
    for (const [a, b, rater] of this.state.comparisons) {
      if (rater !== this.me) continue;
      counts.set(a, (counts.get(a) ?? 0) + 1);
      counts.set(b, (counts.get(b) ?? 0) + 1);
      known.add(a + "\n" + b);
    }
    const order = [...counts.keys()].sort((a, b) => counts.get(a) - counts.get(b));
    for (const a of order) {
      const b = order.find((other) => other !== a && !known.has([a, other].sort().join("\n")));
      if (b) { this.pair = [a, b]; return; }
    }
  }

  // Answers

  rate(rating) {
    if (!this.picture || !this.knownRater()) return;
    this.send({ image: this.picture.image, rater: this.me, rating });
    this.advance();
    this.draw();
  }

  compare(rating) {
    if (!this.pair || !this.knownRater()) return;
    this.send({ image: this.pair[0], other: this.pair[1], rater: this.me, rating });
    this.nextPair();
    this.draw();
  }

  skipPair() {
    if (this.pair) this.skipped.add([...this.pair].sort().join("\n"));
    this.nextPair();
    this.draw();
  }

  knownRater() {
    if (new RegExp(`^(?:${this.state.rater_rule})$`, "u").test(this.me)) return true;      // the rule as the server sent it
    this.tell(say("badRater"), true);
    this.rater.focus();
    return false;
  }

  send(body) {
    const before = body.other ? undefined : this.mine(this.picture);
    const item = this.outbox.add(this.name, body);
    this.history.push({ body, before });
    this.apply(item);
  }

  undo() {
    const last = this.history.pop();
    if (!last) { this.tell(say("nothing")); return; }
    const item = this.outbox.add(this.name, { ...last.body, rating: last.before ?? null });
    this.apply(item);
    if (last.body.other) this.pair = [last.body.image, last.body.other];
    else this.index = this.state.index.get(last.body.image) ?? this.index;
    this.draw();
    this.tell(say("undone"));
  }

  apply(item) {
    const { image, other, rater, rating } = item.body;
    if (other) {
      const [a, b] = [image, other].sort();
      this.state.comparisons = this.state.comparisons.filter((one) => one[0] !== a || one[1] !== b || one[2] !== rater);
      if (rating !== null) this.state.comparisons.push([a, b, rater, a === image ? rating : 1 - rating]);
      return;
    }
    const picture = this.state.pictures[this.state.index.get(image)];
    if (!picture) return;
    if (rating === null) delete picture.ratings[rater];
    else picture.ratings[rater] = rating;
  }

  forget(item) {
    this.history = this.history.filter((entry) => entry.body.image !== item.body.image);
  }

  saved(item) {
    this.lately.push(item);
    if (!this.state || item.set !== this.name) return;
    this.strip.mark(item.body.image);
    this.drawProgress();
    const left = this.outbox.items.length;
    if (!left) this.tell(!this.inPairs && this.done() === this.state.pictures.length ? say("complete") : say(item.body.rating === null ? "undone" : "saved"));
  }

  reveal() {
    const hidden = Boolean(this.stage.querySelector(".cg-blurred"));
    for (const shown of this.stage.children) shown.uncover(hidden);
  }

  // Drawing

  tell(text, alarm = false) {
    if (!this.status) return;
    this.status.textContent = text;
    this.status.classList.toggle("cg-alarm", alarm);
  }

  show(image) {
    const name = this.name, shown = make("div", { className: "cg-picture" });
    shown.uncover = (open) => {
      shown.classList.toggle("cg-blurred", !open);
      shown.replaceChildren(prepared(name, image, open));
    };
    shown.onclick = () => shown.uncover(shown.classList.contains("cg-blurred"));
    shown.uncover(this.always.checked);
    return shown;
  }

  draw() {
    if (!this.state) {
      this.stage.replaceChildren();
      delete this.stage.dataset.image;
      this.fillStrip();
      this.question.textContent = this.progress.textContent = this.agreement.textContent = "";
      this.offer("", () => []);
      return;
    }
    const concept = (this.inPairs ? this.state.concept : this.picture?.concept || this.state.concept) || say("thing");
    this.heading.textContent = this.name;
    this.question.textContent = say(this.inPairs ? "which" : "question", { concept });
    this.keys.textContent = say(this.inPairs ? "pairKeys" : "keys");
    if (this.inPairs) this.drawPair();
    else this.drawOne();
    this.drawProgress();
  }

  drawOne() {
    const picture = this.picture;
    this.stage.replaceChildren(...(picture ? [this.show(picture.image)] : []));
    this.stage.dataset.image = picture?.image ?? "";
    const mine = picture && this.mine(picture);
    this.offer("single", () => [
      button("← " + say("previous"), () => this.move(-1)),
      ...say("scale").map((text, rating) => Object.assign(button(`${rating} ${text}`, () => this.rate(rating)), { value: rating })),
      button(say("next") + " →", () => this.move(1)), button(say("undo"), () => this.undo()), button(say("reveal"), () => this.reveal())]);
    for (const one of this.answers.children) if (one.value) one.classList.toggle("cg-chosen", one.value === String(mine));
    for (const next of this.state.pictures.slice(this.index + 1, this.index + 4)) prepared(this.name, next.image, this.always.checked);
    this.strip.goTo(this.index);
  }

  drawPair() {
    this.stage.replaceChildren(...(this.pair ?? []).map((image) => this.show(image)));
    this.stage.dataset.image = (this.pair ?? []).join(" ");
    this.offer(this.pair ? "pairs" : "", () => (this.pair ? [
      button("← " + say("left"), () => this.compare(1)), button(say("equal") + " ↓", () => this.compare(0.5)),
      button(say("right") + " →", () => this.compare(0)), button(say("undo"), () => this.undo()), button(say("reveal"), () => this.reveal())] : []));
    this.strip.draw();
  }

  offer(kind, buttons) {
    if (this.offered !== kind) this.answers.replaceChildren(...buttons());
    this.offered = kind;
  }

  drawProgress() {
    const { alpha, pictures } = this.state.agreement;
    this.progress.textContent = this.inPairs
      ? say("compared", { done: this.compared() })
      : say("progress", { done: this.done(), all: this.state.pictures.length });
    this.agreement.textContent = pictures ? say("agreement", { alpha: alpha === null ? "–" : alpha.toFixed(2), count: pictures }) : say("agreementNone");
  }
}
