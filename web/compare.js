// The slider on Compare: the picture without guards on the left of it, the same noise with guards on the right. See docs/GuardCompare.md.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { make } from "./rating/elements.js";

const TEXTS = {
  en: { off: "without", on: "with guards", slide: "how much is shown without guards", back: "Previous picture", next: "Next picture" },
  zh: { off: "无防护", on: "有防护", slide: "左侧显示无防护图片的比例", back: "上一张", next: "下一张" },
};

function text() {
  return String(app.extensionManager.setting.get("Comfy.Locale") ?? "").startsWith("zh") ? TEXTS.zh : TEXTS.en;
}

function address(file) {
  return api.apiURL(`/view?${new URLSearchParams(file)}${app.getRandParam?.() ?? ""}`);
}

class Comparison {
  constructor() {
    const say = text();
    this.off = make("img", { alt: say.off, draggable: false });
    this.on = make("img", { alt: say.on, draggable: false, className: "cg-on" });
    this.line = make("div", { className: "cg-line" });
    this.pair = make("div", { className: "cg-pair" }, this.off, this.on, this.line);
    this.range = make("input", { type: "range", min: 0, max: 100, step: 1, value: 50, ariaLabel: say.slide, oninput: () => this.slide() });
    this.place = make("span", { className: "cg-place", role: "status" });
    this.back = make("button", { type: "button", textContent: "◀", title: say.back, ariaLabel: say.back, onclick: () => this.turn(-1) });
    this.next = make("button", { type: "button", textContent: "▶", title: say.next, ariaLabel: say.next, onclick: () => this.turn(1) });
    this.pages = make("div", { className: "cg-pages" }, this.back, this.place, this.next);
    this.report = make("pre", { className: "cg-report" });
    this.element = make("div", { className: "cg-compare" }, this.pair,
      make("div", { className: "cg-slide" }, make("span", { textContent: say.off }), this.range, make("span", { textContent: say.on })), this.pages, this.report);
    this.pairs = [];
    this.at = 0;
    const follow = (event) => {
      if (event.type !== "pointerdown" && !event.buttons) return;
      const box = this.pair.getBoundingClientRect();
      this.range.value = Math.round(100 * (event.clientX - box.left) / Math.max(box.width, 1));
      this.slide();
      event.preventDefault();
      event.stopPropagation();    // the canvas would drag the node
    };
    this.pair.addEventListener("pointerdown", follow);
    this.pair.addEventListener("pointermove", follow);
    this.slide();
    this.turn(0);
  }

  show(output) {
    const off = output?.guards_off ?? [], on = output?.guards_on ?? [];
    this.pairs = off.slice(0, on.length).map((file, place) => [file, on[place]]);
    this.report.textContent = (output?.text ?? []).join("\n");
    this.turn(0);
  }

  turn(by) {
    this.at = this.pairs.length ? (this.at + by + this.pairs.length) % this.pairs.length : 0;
    this.element.classList.toggle("cg-empty", !this.pairs.length);
    this.pages.hidden = this.pairs.length < 2;
    if (!this.pairs.length) return;
    [this.off.src, this.on.src] = this.pairs[this.at].map(address);
    this.place.textContent = `${this.at + 1} / ${this.pairs.length}`;
  }

  slide() {
    this.on.style.clipPath = `inset(0 0 0 ${this.range.value}%)`;
    this.line.style.left = `${this.range.value}%`;
  }
}

app.registerExtension({
  name: "conceptGuards.compare",
  setup() {
    document.head.append(make("link", { rel: "stylesheet", href: new URL("./compare.css", import.meta.url).href }));
  },
  nodeCreated(node) {
    if (node.comfyClass !== "GuardCompare") return;
    const comparison = new Comparison(), before = node.onExecuted;
    const widget = node.addDOMWidget("comparison", "guard_comparison", comparison.element,
      { serialize: false, hideOnZoom: false, getMinHeight: () => 260 });
    widget.serialize = false;
    node.onExecuted = function (output) {
      before?.apply(this, arguments);
      comparison.show(output);
    };
    node.setSize([Math.max(node.size[0], 360), Math.max(node.size[1], 640)]);
  },
});
