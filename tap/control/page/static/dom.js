// Elements and figures. Everything from outside becomes text nodes and attributes, never HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== ""));
  return node;
}

export const el = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

// Replaces what is shown only if it differs, so that a screen reader, a selection and a scroll position stay.
export function show(place, ...children) {
  const made = el("div", {}, ...children);
  if (place.innerHTML !== made.innerHTML) place.replaceChildren(...made.childNodes);
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "unknown";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 1024 && at < units.length - 1) { bytes /= 1024; at += 1; }
  return `${at && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "unknown";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 100) return `${value.toFixed(1)} s`;
  return value < 6000 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}

export const times = (count) => (count === 0 ? "never" : count === 1 ? "once" : `${count} times`);
export const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour12: false });
export const stamp = (time) => el("time", { datetime: new Date(time * 1000).toISOString() }, clock(time));

export function table(caption, heads, rows) {
  const cell = (tag, value, head) => el(tag, { class: head.number ? "number" : null, scope: tag === "th" ? "col" : null }, value);
  return el("table", { "aria-label": caption },
    el("thead", {}, el("tr", {}, heads.map((head) => cell("th", head.name, head)))),
    el("tbody", {}, rows.map((row) => el("tr", { class: row.mark }, row.cells.map((value, at) => cell("td", value, heads[at]))))));
}
