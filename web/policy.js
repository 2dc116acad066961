// A badge at the top that says that this server has a policy, what it forbids (if the operator shows it), and whom to ask.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const TEXTS = {
  en: { badge: "Policy", refused: "Not allowed here", forbids: "Kept out of pictures here", fault: "Nothing may run", ask: "Ask" },
  zh: { badge: "策略", refused: "这里不允许", forbids: "此处的图片中不会出现", fault: "目前无法运行", ask: "请询问" },
};

function language() {
  return String(app.extensionManager?.setting?.get("Comfy.Locale") ?? navigator.language ?? "").startsWith("zh") ? "zh" : "en";
}

// The server says why it refuses in the page's language, which may be another one than the browser's.
function tellLanguage() {
  document.cookie = `concept_guards_language=${language()}; path=/; SameSite=Strict`;
}

function tooltip(policy, say) {
  const lines = [];
  if (policy.fault) lines.push(`${say.fault}: ${policy.fault}`);
  if (policy.concepts?.length) lines.push(`${say.forbids}: ${policy.concepts.join(", ")}.`);
  if (policy.message) lines.push(policy.message);
  if (policy.contact) lines.push(`${say.ask}: ${policy.contact}.`);
  return lines.join(" ");
}

async function current() {
  try {
    const reply = await api.fetchApi("/concept_guards/policy");
    return reply.ok ? await reply.json() : {};
  } catch {
    return {};
  }
}

const policy = await current();
const extension = { name: "ConceptGuards.Policy" };
if (policy.in_force) {
  const say = TEXTS[language()];
  tellLanguage();
  extension.setup = tellLanguage; // the settings are there now
  api.addEventListener("promptQueueing", tellLanguage);
  api.addEventListener("concept_guards_policy_refused", ({ detail }) =>
    app.extensionManager.toast.add({ severity: "error", summary: TEXTS[language()].refused, detail: detail.message, life: 20000 }),
  );
  extension.topbarBadges = [{ text: say.badge, variant: policy.fault ? "error" : "info", icon: "pi pi-shield", tooltip: tooltip(policy, say) }];
}
app.registerExtension(extension);
