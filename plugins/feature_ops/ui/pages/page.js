// Shows what /status tells, and what Airflow's own API says of questions that wait for a person.
const EVERY_MS = 10_000;
const page = document.getElementById("page");
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const number = new Intl.NumberFormat("en");
const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
// Airflow's names of its colours; where it is not around, page.css has its own.
const COLOURS = [
  "bg", "bg-subtle", "bg-muted", "bg-panel", "bg-error", "bg-warning", "fg", "fg-muted", "fg-subtle", "border", "border-emphasized",
  "brand-solid", "brand-contrast", "brand-fg", "brand-subtle", "brand-muted", "brand-emphasized", "fg-info",
  "success-solid", "success-contrast", "success-fg", "success-subtle", "failed-solid", "failed-contrast", "awaiting_input-solid", "awaiting_input-contrast", "error-fg", "error-subtle", "error-muted",
  "skipped-solid", "skipped-contrast", "warning-fg", "warning-subtle", "warning-muted", "warning-solid", "info-fg", "info-subtle",
];

// Of the icons of states, as Airflow has them.
const PATHS = { success: "M4 12l5 5L20 6", failed: "M6 6l12 12M18 6L6 18", skipped: "M5 5l7 7-7 7M13 5l7 7-7 7", waiting: "M12 6v6l4 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18" };

function icon(name) {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Make an element; children are texts and elements, null ones are left out. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

// --- where the page is -------------------------------------------------------------------------

/** The page that frames this one, if it is Airflow's. */
function frame() {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null;
  }
}

const airflow = new URL("../", document.baseURI);

function followTheme() {
  const outer = frame();
  const root = document.documentElement;
  if (!outer) return;
  const theirs = outer.document.documentElement;
  const take = () => {
    const style = outer.getComputedStyle(theirs);
    for (const name of COLOURS) {
      const value = style.getPropertyValue(`--chakra-colors-${name}`).trim();
      if (value) root.style.setProperty(`--${name}`, value);
    }
    const font = outer.getComputedStyle(outer.document.body).fontFamily;
    if (font) root.style.setProperty("--font", font);
    root.style.colorScheme = theirs.classList.contains("dark") ? "dark" : "light";
  };
  take();
  new MutationObserver(take).observe(theirs, { attributes: true, attributeFilter: ["class", "style", "data-theme"] });
}

// Airflow frames the page without the right to open windows or to lead its frame elsewhere, so a link is
// followed in the frame around it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const outer = frame();
  if (!link || !outer) return;
  event.preventDefault();
  const copy = outer.document.createElement("a");
  copy.href = link.href;
  if (link.target === "_blank" || event.ctrlKey || event.metaKey) {
    copy.target = "_blank";
    copy.rel = "noopener noreferrer";
  }
  copy.click();
});

// --- words -------------------------------------------------------------------------------------

let now = Date.now();

function since(iso) {
  const seconds = (new Date(iso) - now) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return ago.format(Math.trunc(seconds / size), unit);
}

function time(iso) {
  if (!iso) return h("span", { class: "quiet" }, "never");
  return h("time", { datetime: iso, title: moment.format(new Date(iso)) }, since(iso));
}

function link(text, href, attributes = {}) {
  return href ? h("a", { href, ...attributes }, text) : h("span", attributes, text);
}

const outside = (text, href, attributes = {}) => link(text, href, { target: "_blank", ...attributes });
const inside = (text, path, attributes = {}) => link(text, new URL(path, airflow).href, attributes);
const badge = (text, kind) => h("span", { class: `badge ${kind}` }, PATHS[kind] ? icon(kind) : null, text);
const count = (n, what) => `${number.format(n)} ${what}${n === 1 ? "" : "s"}`;
const short = (commit) => (commit ?? "").slice(0, 10);
const card = (name, title, ...children) =>
  h("section", { class: "card", "data-part": name, "aria-label": title }, h("h2", {}, title), ...children);
const notice = (kind, title, ...children) =>
  h("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, h("strong", {}, title), ...children);

// --- parts -------------------------------------------------------------------------------------

function head(told) {
  const services = told.services.map((service) =>
    outside(`Model: ${service.alias === "champion" ? "production" : service.alias}`, service.url, { class: "button" }));
  return h("header", {},
    h("h1", {}, "Feature store"),
    h("nav", { "aria-label": "Elsewhere" }, ...services, told.mlflow ? outside("MLflow", told.mlflow, { class: "button" }) : null));
}

function problems(told) {
  const found = [];
  if (told.unreachable) found.push(notice("error", "Airflow does not answer.", h("p", {}, told.unreachable)));
  if (told.problem) {
    const seen = told.read_at ? h("p", {}, "What you see was read ", time(told.read_at), ".") : null;
    found.push(notice("error", "The object store can't be read.", h("p", {}, told.problem), seen));
  }
  const failed = told.commits.failed;
  if (failed) {
    found.push(notice("error", "A commit is not applied.",
      h("p", {}, commitName(failed), " ", h("span", { class: "quiet" }, "by ", failed.author ?? "somebody", ", ", time(failed.at))),
      h("pre", {}, failed.summary),
      h("p", { class: "quiet" }, "What was applied before it stays. ", inside("See the run", failed.run))));
  }
  const old = told.views.filter((view) => isOld(view, told));
  if (old.length) {
    found.push(notice("warning", "Data is old.", h("p", {},
      old.map((view) => view.name).join(", "), ": nothing was loaded for ", period(told.old_after), ". ",
      "See whether ", inside(old[0].loaded_by ?? "the DAG that loads it", `dags/${old[0].loaded_by ?? ""}`), " runs, or trigger it with a new file.")));
  }
  return found;
}

function commitName(commit) {
  return h("span", { class: "commit" }, outside(short(commit.commit), commit.url, { class: "code" }), " ", commit.subject ?? "");
}

function period(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
  return count(Math.round(seconds / size), unit);
}

const isOld = (view, told) => !view.loaded_at || (now - new Date(view.loaded_at)) / 1000 > told.old_after;

function viewsCard(told) {
  if (!told.views.length) return null;
  const rows = told.views.map((view) => h("tr", {},
    h("th", { scope: "row" }, view.name, h("small", {}, `by ${view.keys.join(", ")}`)),
    h("td", {}, isOld(view, told) ? badge("old", "warning") : badge("fresh", "success")),
    h("td", {}, time(view.newest_event)),
    h("td", {}, time(view.loaded_at)),
    h("td", { class: "number" }, number.format(view.rows)),
    h("td", { class: "number" }, number.format(view.files)),
    h("td", {}, h("details", {}, h("summary", {}, count(view.features.length, "feature")),
      h("ul", { class: "chips" }, view.features.map((feature) => h("li", { class: "code" }, feature)))))));
  const titles = ["View", "State", "Watermark", "Last load", "Rows", "Files", "Features"];
  return card("views", "Feature views", h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, titles.map((title) =>
      h("th", { scope: "col", class: ["Rows", "Files"].includes(title) ? "number" : null,
        title: title === "Watermark" ? "The newest event time that is online" : null }, title)))),
    h("tbody", {}, rows))));
}

function runsCard(told) {
  const seen = new Set();
  const runs = told.views.flatMap((view) => view.runs).filter((run) => !seen.has(run.run) && seen.add(run.run));
  if (!runs.length) return null;
  runs.sort((one, other) => (one.at < other.at ? 1 : -1));
  return card("runs", "Last loads", h("ul", { class: "runs" }, runs.slice(0, 6).map(ending)));
}

function ending(run) {
  return h("li", {}, badge(run.state, run.state), h("div", {},
    h("p", {}, run.summary),
    h("p", { class: "quiet" }, inside(`${run.dag} / ${run.task}`, run.run), " · ", time(run.at))));
}

function commitsCard(told) {
  const { applied, newest } = told.commits;
  if (!applied && !newest) return null;
  const parts = [];
  if (applied?.at) {
    parts.push(
      h("p", { class: "lead" }, commitName(applied), " ", badge(applied.verdict ?? "applied", applied.verdict ?? "none")),
      h("p", { class: "quiet" }, applied.author ?? "", " · ", inside("applied", applied.run), " ", time(applied.at)),
      changes(applied.changes));
  } else if (applied) {
    parts.push(h("p", { class: "lead" }, commitName(applied)),
      h("p", { class: "quiet" }, "It was there before any step told of it: no diff is known."));
  } else parts.push(h("p", { class: "quiet" }, "No commit was applied yet."));
  if (newest && newest.commit !== applied?.commit) {
    parts.push(h("h3", {}, newest.needed ? "Not applied yet" : "Newest commit"),
      h("p", { class: "lead" }, commitName(newest)),
      h("p", { class: "quiet" }, newest.summary, " · ", inside("looked at", newest.run), " ", time(newest.at)));
  }
  return card("commits", "Applied commit", ...parts);
}

function changes(sentences) {
  if (!sentences?.length) return h("p", { class: "quiet" }, "No feature changed.");
  return h("ul", { class: "changes" }, sentences.map((sentence) => {
    const kind = sentence.includes("−") ? "minus" : sentence.includes("+") ? "plus" : "other";
    return h("li", { class: `code ${kind}` }, sentence);
  }));
}

function waitingCard(questions) {
  if (!questions?.length) return null;
  return card("waiting", "Waiting for approval", h("ul", { class: "runs" }, questions.map((question) => {
    const task = question.task_instance;
    const path = `dags/${encodeURIComponent(task.dag_id)}/runs/${encodeURIComponent(task.dag_run_id)}/tasks/${encodeURIComponent(task.task_id)}/required_actions`;
    return h("li", {}, badge("waits", "waiting"), h("div", {},
      h("p", {}, question.subject),
      h("p", { class: "quiet" }, task.dag_id, " · asked ", time(question.created_at ?? task.start_date))),
      inside("Decide", path, { class: "button primary" }));
  })));
}

function modelsCard(told, questions) {
  if (!told.models.length) return null;
  const idle = questions && !questions.length ? h("p", { class: "quiet" }, "Nothing waits for approval.") : null;
  return card("models", "Models", ...told.models.flatMap((model) => [
    model.versions.length ? h("div", { class: "scroll" }, versions(model)) : h("p", { class: "quiet" }, `${model.name}: no version answers yet.`),
    ...model.versions.filter((version) => version.accepted_regression).map((version) => regression(version)),
    model.champion_missing ? notice("warning", "The champion is missing.", h("p", {}, model.champion_missing)) : null,
    model.promoted ? h("p", { class: "quiet" }, `Version ${model.promoted.version} was put into production by ${model.promoted.by}`,
      model.promoted.why ? `, “${model.promoted.why}”` : "", " · ", inside(`${model.promoted.dag} / ${model.promoted.task}`, model.promoted.run), " · ", time(model.promoted.at)) : null,
    model.failed ? notice("warning", "The last training led to no new model.", h("p", {}, model.failed.summary),
      h("p", { class: "quiet" }, inside(`${model.failed.dag} / ${model.failed.task}`, model.failed.run), " · ", time(model.failed.at))) : null,
  ]), idle);
}

function regression({ version, accepted_regression: { reason, user } }) {
  return h("p", { class: "quiet" }, `Regression accepted for version ${version}${user ? ` by ${user}` : ""}: “${reason}”`);
}

function versions(model) {
  const scores = [...new Set(model.versions.flatMap((version) => Object.keys(version.metrics)))].slice(0, 5);
  const head = ["Model", "Version", "Commit", "Features", ...scores.map((name) => name.replaceAll("_", " "))];
  return h("table", {},
    h("thead", {}, h("tr", {}, head.map((title, i) => h("th", { scope: "col", class: i > 2 ? "number" : null }, title)))),
    h("tbody", {}, model.versions.map((version) => h("tr", {},
      h("th", { scope: "row" }, link(model.name, version.service, { target: "_blank" }), " ",
        badge(version.alias === "champion" ? "production" : version.alias, version.alias)),
      h("td", {}, outside(`version ${version.version}`, version.url)),
      h("td", {}, outside(short(version.commit), version.commit_url, { class: "code" })),
      h("td", { class: "number" }, number.format(version.features.length)),
      ...scores.map((name) => h("td", { class: "number" }, version.metrics[name]?.toFixed(4) ?? ""))))));
}

function empty(dags) {
  return h("section", { class: "card empty", "data-part": "empty" },
    h("h2", {}, "Nothing is in the feature store yet"),
    h("p", {}, "Trigger the DAG that loads a dataset: its rows become features that models read. Then push a commit that ",
      "defines features, or trigger the DAG that trains: what it defines is applied, and a model follows. ",
      "What came of it is shown here."),
    h("ul", {}, dags.map((dag) => h("li", {}, inside(dag.dag_display_name ?? dag.dag_id, `dags/${encodeURIComponent(dag.dag_id)}`),
      dag.description ? h("span", { class: "quiet" }, ` ${dag.description}`) : null))));
}

const isEmpty = (told) =>
  told.read_at && !told.views.length && !told.models.length && !Object.values(told.commits).some(Boolean);

function show(told, questions, dags) {
  now = new Date(told.now).getTime();
  page.replaceChildren(...[
    head(told),
    ...problems(told),
    ...(isEmpty(told) ? [empty(dags ?? [])] : [
      waitingCard(questions),
      viewsCard(told),
      modelsCard(told, questions),
      h("div", { class: "columns" }, ...[commitsCard(told), runsCard(told)].filter(Boolean)),
    ]),
    h("footer", { class: "quiet" }, told.read_at ? ["As the last runs told, read ", time(told.read_at), "."] : ""),
  ].filter(Boolean));
  page.removeAttribute("aria-busy");
}

// --- asking ------------------------------------------------------------------------------------

async function get(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.detail ?? `${answer.status} ${answer.statusText}`);
  return content;
}

async function waiting() {
  const url = new URL("api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false&order_by=-created_at&limit=50", airflow);
  const details = (await get(url)).hitl_details;
  const open = ["deferred", "awaiting_input", "running"];
  return details.filter(({ task_instance: task }) => task.operator_name === "ApproveOperator" && open.includes(task.state));
}

/** The DAGs that say of themselves that they are about the feature store. */
const pipelines = async () => (await get(new URL("api/v2/dags?tags=feature%20store&order_by=dag_id", airflow))).dags;

let last = null;

async function refresh() {
  try {
    const [told, questions] = await Promise.all([get("status"), waiting().catch(() => null)]);
    last = { told, questions };
    show(told, questions, isEmpty(told) ? await pipelines().catch(() => []) : []);
  } catch (error) {
    const told = last?.told ?? { views: [], models: [], services: [], commits: {}, read_at: null };
    show({ ...told, now: new Date().toISOString(), unreachable: error.message }, last?.questions);
  }
}

followTheme();
refresh();
setInterval(() => document.hidden || refresh(), EVERY_MS);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
