document.addEventListener("click", (event) => {
  const pair = event.target.closest(".pair");
  if (pair) pair.setAttribute("aria-pressed", pair.classList.toggle("open"));
});
