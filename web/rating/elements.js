// Elements of a page, in one line each.
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export const button = (text, onclick, className = "") => make("button", { type: "button", textContent: text, onclick, className });
