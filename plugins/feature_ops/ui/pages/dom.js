// Elements, texts and times that all parts of the page share.

const SVG = "http://www.w3.org/2000/svg";
const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
export const number = new Intl.NumberFormat("en");

// Shapes of states: colour alone never carries a meaning.
const PATHS = {
  success: "M4 12l5 5L20 6",
  failed: "M6 6l12 12M18 6L6 18",
  quarantined: "M12 3l10 18H2zM12 10v5M12 18v.5",
  skipped: "M5 5l7 7-7 7M13 5l7 7-7 7",
  waiting: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18",
  running: "M8 5l11 7-11 7z",
  warning: "M12 3l10 18H2zM12 10v5M12 18v.5",
};

/** Make an element; children are texts and elements, null ones are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children.flat().filter((child) => child != null && child !== ""));
  return element;
}

// --- time --------------------------------------------------------------------------------------

// The server's clock counts: those of browsers differ.
let ahead = 0;
export const setServerTime = (iso) => { ahead = new Date(iso) - Date.now(); };
export const now = () => Date.now() + ahead;

export function since(iso) {
  const seconds = (new Date(iso) - now()) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return relative.format(Math.trunc(seconds / size), unit);
}

export const exactly = (iso) => exact.format(new Date(iso));

export function time(iso) {
  if (!iso) return h("span", { class: "quiet" }, "never");
  return h("time", { datetime: iso, title: exactly(iso) }, since(iso));
}

/** Refresh the texts of all times, without any other change to the page. */
export function updateTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) element.textContent = since(element.dateTime);
}

export function period(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
  return count(Math.round(seconds / size), unit);
}

// --- texts and links ---------------------------------------------------------------------------

export const airflow = new URL("../", document.baseURI);
export const count = (n, what) => `${number.format(n)} ${what}${n === 1 ? "" : "s"}`;
export const short = (commit) => (commit ?? "").slice(0, 10);

export function link(text, href, attributes = {}) {
  return href ? h("a", { href, ...attributes }, text) : h("span", attributes, text);
}

export const outside = (text, href, attributes = {}) => link(text, href, { target: "_blank", rel: "noopener", ...attributes });
export const inside = (text, path, attributes = {}) => link(text, path == null ? null : new URL(path, airflow).href, attributes);
export const dagPath = (dag) => `dags/${encodeURIComponent(dag)}`;

// --- parts -------------------------------------------------------------------------------------

export function icon(kind) {
  return s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: `icon ${kind}` }, s("path", { d: PATHS[kind] }));
}

export const badge = (text, kind = text) => h("span", { class: `badge ${kind}` }, PATHS[kind] ? icon(kind) : null, text);

export function card(name, title, ...children) {
  const id = `title-${name}`;
  return h("section", { class: "card", "data-part": name, "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

export const notice = (kind, title, ...children) =>
  h("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, h("strong", {}, title), ...children);

export const disclosure = (key, title, ...children) =>
  h("details", { "data-key": key }, h("summary", {}, title), ...children);

/**
 * Make a table that becomes a list of cards where the page is narrow.
 * Roles are set since a browser drops those of table elements that are displayed as blocks.
 */
export function table(label, columns, rows) {
  const cells = (row) => row.map((content, at) => {
    const { title, number } = columns[at];
    const attributes = { "data-label": title, class: number ? "number" : null };
    return at === 0
      ? h("th", { scope: "row", role: "rowheader", ...attributes }, content)
      : h("td", { role: "cell", ...attributes }, h("div", {}, content));
  });
  return h("div", { class: "scroll", role: "group", "aria-label": label }, h("table", { role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map(({ title, number, help }) =>
      h("th", { scope: "col", role: "columnheader", class: number ? "number" : null, title: help }, title)))),
    h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row" }, cells(row))))));
}

/** Let the keyboard scroll what is wider than the page, and nothing else. */
export function fitScrollers(root) {
  for (const element of root.querySelectorAll(".scroll")) {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }
}
