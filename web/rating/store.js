// What the browser keeps for its next visit, where it keeps anything: `act(localStorage)`, or `otherwise` where that is full or forbidden.
export function stored(act, otherwise) {
  try { return act(localStorage); } catch { return otherwise; }
}
