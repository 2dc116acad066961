// "List models" on Rewriter: OpenAI-compatible Endpoint: the models that the chosen endpoint offers, to pick one of.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const TEXTS = {
  en: { list: "List models", failed: "Models of the endpoint" },
  zh: { list: "列出模型", failed: "端点的模型" },
};

function text() {
  return String(app.extensionManager?.setting?.get("Comfy.Locale") ?? "").startsWith("zh") ? TEXTS.zh : TEXTS.en;
}

const value = (node, name) => node.widgets.find((widget) => widget.name === name);

async function pick(node, event) {
  const endpoint = encodeURIComponent(value(node, "endpoint").value);
  let said;
  try {
    said = await (await api.fetchApi(`/concept_guards/endpoint_models?endpoint=${endpoint}`)).json();
  } catch (error) {
    said = { error: String(error) };
  }
  if (!said.models) {
    app.extensionManager.toast.add({ severity: "warn", summary: text().failed, detail: said.error, life: 15000 });
    return;
  }
  new LiteGraph.ContextMenu(said.models, {
    event,
    title: node.title,
    callback: (chosen) => {
      const widget = value(node, "model_name");
      widget.value = typeof chosen === "string" ? chosen : chosen.content;
      widget.callback?.(widget.value);
      app.graph.setDirtyCanvas(true, true);
    },
  });
}

app.registerExtension({
  name: "ConceptGuards.Endpoint",
  nodeCreated(node) {
    if (node.comfyClass !== "GuardRewriterEndpoint") return;
    let last = null; // where the pointer was, as Nodes 2.0 tells a button nothing
    const note = (event) => (last = event);
    window.addEventListener("pointerdown", note, true);
    const removed = node.onRemoved;
    node.onRemoved = function (...args) {
      window.removeEventListener("pointerdown", note, true);
      return removed?.apply(this, args);
    };
    const button = node.addWidget("button", text().list, null, () => pick(node, last), { serialize: false });
    button.serialize = false;
  },
});
