// Small helpers that all parts of the page use.

export const base = document.body.dataset.base;
export const portal = document.body.dataset.portal;
export const part = (name) => document.getElementById(name);

let noted;

/** Say something in passing; it goes by itself. */
export function note(text, seconds = 5) {
  const place = part("note");
  place.textContent = text;
  clearTimeout(noted);
  noted = setTimeout(() => (place.textContent = ""), seconds * 1000);
}

/** A remembered choice of this browser. */
export function remembered(name, usual) {
  try {
    return localStorage.getItem(`visa-desktop-${name}`) ?? usual;
  } catch {
    return usual;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`visa-desktop-${name}`, value);
  } catch {
    // Private windows may refuse; the choice then holds for this page only.
  }
}

/** An element with text and attributes. */
export function element(kind, text = "", attributes = {}) {
  const one = document.createElement(kind);
  one.textContent = text;
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  return one;
}

export function button(text, act) {
  const one = element("button", text, { type: "button" });
  one.addEventListener("click", act);
  return one;
}

/** Radio buttons in a fieldset; `choose` gets the value chosen. */
export function choices(fieldset, name, options, chosen, choose) {
  for (const [value, text] of options) {
    const label = element("label", "", { class: "check" });
    const input = element("input", "", { type: "radio", name, value });
    input.checked = value === chosen;
    input.addEventListener("change", () => choose(value));
    label.append(input, ` ${text}`);
    fieldset.append(label);
  }
}

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Hand a file that the page made to the browser's downloads. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = element("a", "", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
