// Loads the view model, shows it, and keeps it current.

import { followLinks, followTheme, get, pipelines, waiting } from "./airflow.js";
import { drawCharts } from "./charts.js";
import { fitScrollers, h, inside, notice, setServerTime, time, updateTimes } from "./dom.js";
import { isEmpty, isStale, sections } from "./sections.js";

const EVERY_MS = 10_000;
const page = document.getElementById("page");

const FAILURES = {
  "signed-out": ["Signed out", () => "Sign in to Airflow to see the feature store.", () => inside("Sign in", "", { class: "button primary" })],
  forbidden: ["Access denied", () => "Ask an Airflow administrator for the permission to view plugins."],
  "server-error": ["Server error", (error) => error.message, retry],
  offline: ["Offline", (error) => error.message, retry],
};
// What was shown before is not for a user who has lost the right to see it.
const PRIVATE = ["signed-out", "forbidden"];

let last = null;
let shown = "";

function retry() {
  const button = h("button", { class: "button", type: "button", "data-key": "retry" }, "Retry");
  button.addEventListener("click", refresh);
  return button;
}

function failure(error) {
  const [title, text, action] = FAILURES[error.state];
  return notice("error", title, h("p", {}, text(error)), action ? h("div", {}, action()) : null);
}

function header(model) {
  const instances = model?.instances ?? [];
  const links = instances.map(({ alias, url }) => {
    const stage = alias === "champion" ? "production" : alias;
    return h("a", { class: "button", href: url, target: "_blank", rel: "noopener" }, `Model: ${stage}`);
  });
  if (model?.mlflow) links.push(h("a", { class: "button", href: model.mlflow, target: "_blank", rel: "noopener" }, "MLflow"));
  return h("header", {}, h("h1", {}, "Feature store"), links.length ? h("nav", { "aria-label": "Related pages" }, links) : null);
}

/** Show the page; nothing but its times changes where the content is the same as before. */
function show(state, content, error) {
  const stale = content?.model.views.filter((view) => isStale(view, content.model)).map((view) => view.name);
  const key = JSON.stringify([state, stale, error?.message, content], (name, value) => (["now", "read_at"].includes(name) ? undefined : value));
  if (key === shown) {
    updateTimes();
    updateFooter(content);
    return;
  }
  shown = key;
  keepingPlace(() => page.replaceChildren(...[
    header(content?.model),
    error ? failure(error) : null,
    ...(content ? sections(content) : []),
    content ? h("footer", { class: "quiet" }, footer(content)) : null,
  ].filter(Boolean)));
  page.dataset.state = state;
  page.removeAttribute("aria-busy");
  fit();
}

const footer = ({ model }) => (model.read_at ? ["Updated ", time(model.read_at)] : []);

function updateFooter(content) {
  page.querySelector("footer")?.replaceChildren(...(content ? footer(content) : []));
}

/** Open what was open and focus what had the focus before the content was replaced. */
function keepingPlace(replace) {
  const open = new Set([...page.querySelectorAll("details[open]")].map((element) => element.dataset.key));
  const focused = page.contains(document.activeElement) ? identity(document.activeElement) : null;
  const { scrollX, scrollY } = window;
  replace();
  for (const element of page.querySelectorAll("details")) element.open = open.has(element.dataset.key);
  if (focused) [...page.querySelectorAll("a, button, summary, [tabindex]")].find((element) => identity(element) === focused)?.focus();
  window.scrollTo(scrollX, scrollY);
}

const identity = (element) =>
  [element.tagName, element.getAttribute("href"), element.closest("[data-key]")?.dataset.key, element.textContent].join("\n");

function fit() {
  drawCharts(page);
  fitScrollers(page);
}

function fail(error) {
  if (FAILURES[error.state]) return show(error.state, last, error);
  // The page and the server are of different releases.
  console.error(error);
  return show("server-error", null, { state: "server-error", message: "The page can't show the response: reload it." });
}

let running = null;

function refresh() {
  running ??= load().finally(() => { running = null; });
  return running;
}

async function load() {
  try {
    const [model, questions, dags] = await Promise.all([get("status"), waiting(), pipelines()]);
    setServerTime(model.now);
    last = { model, questions, dags };
    show(isEmpty(last) ? "empty" : "ready", last, null);
  } catch (error) {
    if (PRIVATE.includes(error.state)) last = null;
    fail(error);
  }
}

followTheme();
followLinks();
refresh();
setInterval(() => document.hidden || refresh(), EVERY_MS);
for (const event of ["online", "offline"]) window.addEventListener(event, refresh);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth !== width) requestAnimationFrame(fit);
  width = window.innerWidth;
});
