// What each key does in the rating view. `view` is a RatingView.

function acts(view) {
  const undo = () => view.undo();
  const always = { u: undo, z: undo, Backspace: undo, b: () => view.always.click() };
  if (view.inPairs) {
    const alike = () => view.compare(0.5);
    return { ...always, ArrowLeft: () => view.compare(1), ArrowRight: () => view.compare(0), ArrowDown: alike, "=": alike, s: () => view.skipPair() };
  }
  const rates = Object.fromEntries([0, 1, 2, 3, 4].map((rating) => [rating, () => view.rate(rating)]));
  return { ...always, ...rates, ArrowLeft: () => view.move(-1), ArrowRight: () => view.move(1), s: () => view.move(1) };
}

export function press(view, event) {
  event.stopPropagation();
  const held = event.ctrlKey || event.metaKey;
  if (event.key === "Escape" || event.altKey || held && event.key !== "z") return;
  if (event.target === view.rater) {
    if (event.key === "Enter") { view.rater.blur(); view.dialog.focus(); }
    return;
  }
  if (event.target === view.mode && event.key.startsWith("Arrow")) return;
  const known = acts(view);
  if (!event.target.closest("button, select, input")) known[" "] = () => view.reveal();
  const act = known[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || !view.state) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow") && !view.inPairs) act();
}
