// Rating in the browser: a tab in the side bar with the feedback sets, a command, and a button on Rate Images. See docs/GuardRateImages.md.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { make } from "./rating/elements.js";
import { anyLeft, exportURL, importSet, listSets } from "./rating/server.js";
import { choose, say } from "./rating/texts.js";
import { RatingView } from "./rating/view.js";

let view, tab;

function rating() {
  view ??= new RatingView();
  return view;
}

async function takeIn(file, tell) {
  const suggested = file.name.replace(/\.zip$/i, "").replace(/[^\p{L}\p{N}_\-. ()+]/gu, "_").slice(0, 60);
  const asks = app.extensionManager.dialog, title = say("importSet");      // the front end's: the desktop has no window.prompt
  try {
    const name = (await asks.prompt({ title, message: say("name"), defaultValue: suggested }))?.trim();
    if (!name) return;
    let result;
    try {
      result = await importSet(name, file, false);
    } catch (error) {
      if (error.status !== 409 || !await asks.confirm({ title, message: say("replace", { name }) })) throw error;
      result = await importSet(name, file, true);
    }
    tell(say("imported", result));
  } catch (error) {
    tell(say("failed", { reason: error.message }));
  }
}

async function fill(element) {
  const list = make("div", { className: "cg-sets" }), note = make("p", { className: "cg-status", role: "status" });
  const file = make("input", { type: "file", accept: ".zip,application/zip", hidden: true, onchange: async () => {
    if (file.files[0]) await takeIn(file.files[0], (text) => { note.textContent = text; });
    file.value = "";
    await read();
  } });
  const read = async () => {
    try {
      const sets = await listSets();
      const focused = list.contains(document.activeElement) ? document.activeElement.textContent : null;   // a run may file pictures at any time
      list.replaceChildren(...(sets.length ? sets.map(row) : [make("p", { textContent: say("none") })]));
      if (focused) [...list.querySelectorAll(".cg-open")].find((button) => button.textContent === focused)?.focus();
    } catch (error) {
      list.replaceChildren(make("p", { className: "cg-status cg-alarm", textContent: say("failed", { reason: error.message }) }));
    }
  };
  element.replaceChildren(make("div", { className: "cg-tab" }, make("h3", { textContent: say("sets") }), list,
    make("button", { type: "button", textContent: say("importSet"), onclick: () => file.click() }),
    make("button", { type: "button", textContent: say("refresh"), onclick: read }), file, note));
  tab = { read };
  await read();
}

function row(found) {
  return make("div", { className: "cg-set" },
    make("button", { type: "button", className: "cg-open", textContent: found.set, title: say("open"), onclick: () => rating().open(found.set) }),
    make("span", { textContent: `${found.pictures} ${say("pictures")}${found.concept ? " · " + found.concept : ""}` }),
    make("a", { href: exportURL(found.set), download: "", textContent: say("exportSet") }));
}

function openSetOf(node) {
  const set = String(node.widgets?.find((one) => one.name === "set_name")?.value ?? "").trim();
  const linked = node.inputs?.some((one) => one.name === "set_name" && one.link != null);
  if (set && !linked) rating().open(set);
  else app.extensionManager.toast.add({ severity: "warn", summary: say("title"), detail: say(linked ? "linked" : "noName"), life: 6000 });
}

app.registerExtension({
  name: "conceptGuards.rating",
  commands: [{ id: "ConceptGuards.Rate", icon: "pi pi-star", label: "Concept Guards: Rate pictures",
               function: () => app.extensionManager.sidebarTab.toggleSidebarTab("concept-guards-rate") }],
  setup() {
    choose(app.extensionManager.setting.get("Comfy.Locale"));
    document.head.append(make("link", { rel: "stylesheet", href: new URL("./rating/style.css", import.meta.url).href }));
    app.extensionManager.registerSidebarTab({ id: "concept-guards-rate", icon: "pi pi-star", title: say("tab"), tooltip: say("title"),
                                              type: "custom", render: (element) => { fill(element); } });
    api.addEventListener("concept_guards.filed", ({ detail }) => { view?.filed(detail?.set); tab?.read(); });
    if (anyLeft()) rating();    // send what was left unsaved
  },
  nodeCreated(node) {
    if (node.comfyClass !== "GuardRateImages") return;
    const widget = node.addWidget("button", say("button"), null, () => openSetOf(node), { serialize: false });
    widget.serialize = false;
  },
});
