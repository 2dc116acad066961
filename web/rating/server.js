// Talking to the pack's routes, and the outbox: a rating waits there, and in the browser's own store, until the server has it on its disk.
import { api } from "../../../scripts/api.js";
import { stored } from "./store.js";
import { say } from "./texts.js";

const PLACE = "/concept_guards/feedback";
const KEY = "concept-guards.unsaved.";
const SHORTEST = 500, LONGEST = 10_000;      // milliseconds between two tries: doubled as long as nobody answers
const REFUSALS = new Set([400, 404, 413, 415, 422]);      // of a rating that no later try would save; all others (log in again, too many) pass
const path = (...parts) => [PLACE, ...parts.map(encodeURIComponent)].join("/");

export const pictureURL = (set, image) => api.apiURL(path(set, "picture", image));
export const thumbnailURL = (set, image) => api.apiURL(path(set, "thumbnail", image));
export const exportURL = (set) => api.apiURL(path(set, "export"));

async function answer(reply) {
  let body = null;
  try { body = await reply.json(); } catch { /* no words of the pack's: a proxy's page, perhaps */ }
  const ours = Boolean(body) && typeof body === "object";
  const reason = reply.ok ? say("strange") : (ours && body.error) || `HTTP ${reply.status}`;
  if (!reply.ok || !ours) throw Object.assign(new Error(reason), { status: reply.status, heard: true, final: ours && REFUSALS.has(reply.status) });
  return body;
}

export const listSets = async () => (await answer(await api.fetchApi(PLACE))).sets;
export const readSet = async (set) => answer(await api.fetchApi(path(set)));
export const importSet = async (set, file, replace) => answer(await api.fetchApi(path(set, "import") + (replace ? "?replace=1" : ""), {
  method: "POST", headers: { "Content-Type": "application/zip" }, body: file }));

const left = () => stored((store) => Object.keys(store), []).filter((name) => name.startsWith(KEY)).sort();
export const anyLeft = () => left().length > 0;

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  // onSaved(item), onRefused(item, reason), onWaiting(count, reason: empty where nobody answers), onUnstored()
  constructor(handlers) {
    this.handlers = handlers;
    this.items = [];
    this.running = false;
    for (const key of left()) {   // of a browser that was killed
      try { this.items.push(JSON.parse(localStorage.getItem(key))); } catch { stored((store) => store.removeItem(key)); }
    }
    this.items.sort((a, b) => a.at - b.at);
    this.run();
  }

  add(set, body) {
    const item = { set, at: Date.now(), body: { ...body, id: newId() } };
    const safe = stored((store) => { store.setItem(KEY + item.body.id, JSON.stringify(item)); return true; }, false);
    this.items.push(item);
    if (!safe) this.handlers.onUnstored();
    this.run();
    return item;
  }

  async run() {
    if (this.running) return;
    this.running = true;
    let pause = SHORTEST;
    while (this.items.length) {
      const item = this.items[0];
      try {
        const said = await answer(await api.fetchApi(path(item.set, "ratings"), {
          method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(item.body), signal: AbortSignal.timeout(15000) }));
        if (said.saved !== true) throw Object.assign(new Error(say("strange")), { heard: true });
        pause = SHORTEST;
        this.done(item);
        this.handlers.onSaved(item);
      } catch (error) {
        if (error.final) {
          this.done(item);
          this.handlers.onRefused(item, error.message);
        } else {
          this.handlers.onWaiting(this.items.length, error.heard ? error.message : "");
          await new Promise((resolve) => setTimeout(resolve, pause));
          pause = Math.min(2 * pause, LONGEST);
        }
      }
    }
    this.running = false;
  }

  done(item) {
    this.items.shift();
    stored((store) => store.removeItem(KEY + item.body.id));
  }
}
