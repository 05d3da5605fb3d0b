// Elements from data. Text is always a text node: no text that comes from outside can become HTML.

/** An element. Attributes: `on…` are listeners, true and false set and leave out, others are attributes. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Show `message` as the error of a field, or remove it. */
export function setError(id, message) {
  const place = byId(`${id}-error`);
  if (!place) return false;
  place.textContent = message || "";
  place.hidden = !message;
  const field = byId(id);
  if (field) {
    if (message) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
  return true;
}

export function bytes(number) {
  if (number < 1000) return `${number} bytes`;
  const [value, unit] = number < 1e6 ? [number / 1e3, "kB"] : number < 1e9 ? [number / 1e6, "MB"] : [number / 1e9, "GB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export const count = (number) => number.toLocaleString("en");
export const dollars = (number) => `$${number < 0.01 ? number.toFixed(6) : number.toFixed(4)}`;
export const seconds = (number) => `${number.toFixed(2)}\u00a0s`;

/** Copy a text. False where the browser does not allow it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
