// The parts of the page, each made from the view model.

import { chartsCard } from "./charts.js";
import {
  badge, card, count, dagPath, disclosure, exactly, h, icon, inside, notice, now, number, outside, period, short, table, time,
} from "./dom.js";

const BAD = ["failed", "quarantined"];
const plural = (n, one, many) => (n === 1 ? one : many);

export const isStale = (view, model) => !view.loaded_at || (now() - new Date(view.loaded_at)) / 1000 > model.old_after;

export const isEmpty = ({ model }) =>
  model.read_at && ![model.pipelines, model.views, model.models, model.commits.evaluated].some((found) => found.length) && !model.commits.applied;

/** Return all that is shown below the header. */
export function sections(content) {
  const { model, questions } = content;
  if (!model.read_at) return problems(content);
  if (isEmpty(content)) return [...problems(content), emptyCard(content)];
  return [
    ...problems(content),
    waitingCard(questions),
    pipelinesCard(content),
    viewsCard(model),
    chartsCard(model),
    modelsCard(content),
    h("div", { class: "columns" }, commitsCard(model), h("div", { class: "stack" }, servicesCard(model), quarantineCard(model))),
  ].filter(Boolean);
}

// --- problems ----------------------------------------------------------------------------------

function problems({ model, dags }) {
  return [storeProblem(model), unreadableProblem(model), commitProblem(model), ...pipelineProblems(model, dags), ...viewProblems(model), staleProblem(model)].filter(Boolean);
}

function storeProblem(model) {
  if (!model.problem) return null;
  const age = model.read_at ? h("p", {}, "Last successful read ", time(model.read_at), ".") : null;
  return notice("error", "Object store not readable", h("p", {}, model.problem), age);
}

function unreadableProblem({ unreadable }) {
  if (!unreadable.length) return null;
  return notice("warning", "Status not readable", h("p", {},
    `Not shown: ${unreadable.join(", ")}. The API server's log names the reason; the next runs replace the status.`));
}

const isRejected = (commit) => ["refused", "failed"].includes(commit?.outcome);

function commitProblem({ commits }) {
  const newest = commits.newest;
  if (!isRejected(newest)) return null;
  return notice("error", "Commit not applied",
    h("p", {}, commitName(newest), newest.author ? ` by ${newest.author}` : "", ", ", time(newest.at)),
    h("pre", {}, newest.summary),
    h("p", {}, "The applied definitions stay in place. ", inside("Open the task", newest.run)));
}

function pipelineProblems({ pipelines, commits }, dags) {
  return pipelines
    .filter(({ last }) => BAD.includes(last.state))
    // The notice on the commit shows it already.
    .filter(({ last }) => !(isRejected(commits.newest) && commits.newest.run === last.run))
    .map(({ dag, last, failures_in_a_row: failures }) => {
      const title = `${titleOf(dag, dags)}: ${last.state === "quarantined" ? "file quarantined" : "last run failed"}`;
      const times = failures > 1 ? `${failures} failed runs in a row. ` : "";
      return notice("error", title, h("pre", {}, last.summary),
        h("p", {}, times, inside(`Open ${last.task}`, last.run), ", ", time(last.at)));
    });
}

function viewProblems({ views }) {
  return views.filter((view) => view.failed).map((view) =>
    notice("error", `${view.name}: not loaded`, h("pre", {}, view.failed.reason),
      h("p", {}, inside(`Open ${view.failed.task}`, view.failed.run), ", ", time(view.failed.at))));
}

function staleProblem(model) {
  const stale = model.views.filter((view) => isStale(view, model));
  if (!stale.length) return null;
  const dag = stale[0].loaded_by;
  return notice("warning", "Stale data", h("p", {},
    `${stale.map((view) => view.name).join(", ")}: no load for ${period(model.old_after)}. Check `,
    dag ? inside(dag, dagPath(dag)) : "the DAG that loads it", ", or trigger it with a new file."));
}

// --- pipelines ---------------------------------------------------------------------------------

const titleOf = (dag, dags) => dags?.find((one) => one.dag === dag)?.title ?? dag;
const AIRFLOW_STATES = { success: "success", failed: "failed", running: "running", queued: "waiting" };

function pipelinesCard({ model, dags }) {
  const known = new Map(model.pipelines.map((pipeline) => [pipeline.dag, pipeline]));
  const names = [...new Set([...known.keys(), ...(dags ?? []).map((dag) => dag.dag)])].sort();
  if (!names.length) return null;
  return card("pipelines", "Pipelines", h("ul", { class: "rows" }, names.map((dag) =>
    pipelineRow(dag, known.get(dag), dags?.find((one) => one.dag === dag)))));
}

function pipelineRow(dag, pipeline, inAirflow) {
  const current = currentRun(pipeline, inAirflow?.newest, dag);
  return h("li", { "data-dag": dag },
    h("div", { class: "row-head" },
      h("h3", {}, inside(inAirflow?.title ?? dag, dagPath(dag))),
      current ? badge(current.state) : badge("no runs", "none"),
      pipeline ? runStrip(pipeline.runs) : null),
    current ? h("p", { class: "lead" }, current.summary) : null,
    current ? h("p", { class: "quiet" }, inside(current.label, current.path), " · ", time(current.at)) : null,
    pipeline ? disclosure(`steps:${dag}`, "Steps of the last reported run", steps(pipeline.last.steps)) : null);
}

/** Return the newest run: as its tasks reported it, or as Airflow knows it where no task has reported. */
function currentRun(pipeline, newest, dag) {
  const last = pipeline?.last;
  const reported = last && { ...last, label: last.task, path: last.run };
  const state = AIRFLOW_STATES[newest?.state];
  if (!state) return reported ?? null;
  if (last?.run_id === newest.run_id) {
    if (state === "running" || state === "waiting") return { ...reported, state: "running" };
    if (state === "failed" && !BAD.includes(last.state)) return { ...reported, state, summary: "A task failed without a report: open the run.", label: "Run", path: last.run_path, at: newest.at };
    return reported;
  }
  // The newest reported run was deleted in Airflow.
  if (pipeline?.runs.some((run) => run.run_id === newest.run_id)) return reported;
  const summary = state === "failed" ? "No task has reported: a worker was killed, or no task started. Open the run." : "No task has reported yet.";
  const path = `${dagPath(dag)}/runs/${encodeURIComponent(newest.run_id)}`;
  return { state, summary, label: "Run", path, at: newest.at };
}

function runStrip(runs) {
  return h("ol", { class: "strip", "aria-label": "Last runs, newest first" }, runs.map((run) => {
    const label = `${run.state}, ${exactly(run.at)}`;
    return h("li", {}, inside(icon(run.state), run.run_path, { "aria-label": label, title: `${label}: ${run.summary}` }));
  }));
}

const steps = (found) => h("ol", { class: "rows small" }, found.map((step) =>
  h("li", { class: "step" }, badge(step.state), h("div", {}, h("p", {}, inside(step.task, step.run)), h("p", { class: "quiet" }, step.summary)))));

// --- views, features, services -----------------------------------------------------------------

function viewsCard(model) {
  if (!model.views.length) return null;
  const columns = [
    { title: "View" }, { title: "State" }, { title: "Watermark", help: "Newest event time in the online store" },
    { title: "Last load" }, { title: "Rows", number: true }, { title: "Files", number: true }, { title: "Features", number: true },
  ];
  const rows = model.views.map((view) => [
    [view.name, h("small", {}, view.keys.length ? `by ${view.keys.join(", ")}` : "one row, no key")],
    viewState(view, model), time(view.newest_event), time(view.loaded_at),
    number.format(view.rows), number.format(view.files), count(view.features.length, "feature"),
  ]);
  return card("views", "Feature views", table("Feature views", columns, rows), ...model.views.map(featureTable));
}

function viewState(view, model) {
  if (view.failed) return badge("not loaded", "failed");
  return isStale(view, model) ? badge("stale", "warning") : badge("fresh", "success");
}

function featureTable(view) {
  const columns = [{ title: "Feature" }, { title: "Type" }, { title: "Services" }, { title: "Deployed models" }];
  const rows = view.features.map(({ name, type, services, models }) => [
    h("span", { class: "code" }, name), h("span", { class: "code" }, type ?? "unknown"), services.join(", ") || "none", models.join(", ") || "none",
  ]);
  const unchecked = view.unchecked.length
    ? h("p", { class: "quiet" }, `Not verified online: ${view.unchecked.join("; ")}.`) : null;
  return disclosure(`features:${view.name}`, `Features of ${view.name}`, unchecked, table(`Features of ${view.name}`, columns, rows));
}

function servicesCard(model) {
  if (!model.services.length) return null;
  const columns = [{ title: "Service" }, { title: "Features", number: true }, { title: "Deployed models" }];
  const rows = model.services.map(({ name, description, features, models }) => [
    [name, description ? h("small", {}, description) : null], number.format(features.length), models.join(", ") || "none",
  ]);
  return card("services", "Feature services", table("Feature services", columns, rows));
}

// --- models ------------------------------------------------------------------------------------

function waitingCard(questions) {
  if (!questions?.length) return null;
  return card("waiting", "Waiting for approval", h("ul", { class: "rows" }, questions.map((question) => {
    const task = question.task_instance;
    const path = `${dagPath(task.dag_id)}/runs/${encodeURIComponent(task.dag_run_id)}/tasks/${encodeURIComponent(task.task_id)}/required_actions`;
    return h("li", { class: "question" }, badge("waiting"), h("div", {},
      h("p", {}, question.subject),
      h("p", { class: "quiet" }, `${task.dag_id} · requested `, time(question.created_at ?? task.start_date))),
      inside("Decide", path, { class: "button primary" }));
  })));
}

function modelsCard({ model, questions }) {
  if (!model.models.length) return null;
  const idle = questions && !questions.length ? h("p", { class: "quiet" }, "No approval is pending.") : null;
  return card("models", "Models", ...model.models.flatMap((one) => [
    one.versions.length ? versions(one) : h("p", {}, `${one.name}: no version is deployed yet.`),
    one.champion_missing ? notice("warning", "Champion missing", h("p", {}, one.champion_missing)) : null,
    one.promoted ? promotion(one.promoted) : null,
    one.failed ? notice("warning", "Last training: no new model", h("pre", {}, one.failed.summary),
      h("p", {}, inside(`Open ${one.failed.task}`, one.failed.run), ", ", time(one.failed.at))) : null,
  ]), idle);
}

const promotion = (promoted) => h("p", { class: "quiet" },
  `Version ${promoted.version} promoted by ${promoted.by}${promoted.why ? `, “${promoted.why}”` : ""} · `,
  inside(promoted.task, promoted.run), " · ", time(promoted.at));

function versions(model) {
  const scores = [...new Set(model.versions.flatMap((version) => Object.keys(version.metrics)))].slice(0, 5);
  const accepted = model.versions.some((version) => version.accepted_regression);
  const columns = [
    { title: "Model" }, { title: "Version" }, { title: "Commit" }, { title: "Features", number: true },
    ...scores.map((name) => ({ title: name.replaceAll("_", " "), number: true })),
    ...(accepted ? [{ title: "Accepted regression" }] : []),
  ];
  const rows = model.versions.map((version) => [
    [outside(model.name, version.service), " ", badge(version.stage)],
    outside(`version ${version.version}`, version.url),
    outside(short(version.commit), version.commit_url, { class: "code" }),
    number.format(version.features.length),
    ...scores.map((name) => version.metrics[name]?.toFixed(4).replace("-", "−") ?? "–"),
    ...(accepted ? [regression(version.accepted_regression)] : []),
  ]);
  return table(`Versions of ${model.name}`, columns, rows);
}

function regression(accepted) {
  if (!accepted) return "none";
  if (typeof accepted !== "object") return String(accepted);
  return [accepted.reason ?? JSON.stringify(accepted), accepted.user ? h("small", {}, `by ${accepted.user}`) : null];
}

// --- commits and quarantine --------------------------------------------------------------------

function commitName(commit) {
  return h("span", { class: "commit" }, outside(short(commit.commit), commit.url, { class: "code" }), commit.subject ? ` ${commit.subject}` : "");
}

const OUTCOMES = {
  applied: ["applied", "success"], refused: ["refused", "failed"], failed: ["failed", "failed"],
  none: ["no change", "none"], skipped: ["not applied", "skipped"], waiting: ["not applied yet", "waiting"],
};

function commitsCard({ commits }) {
  const { applied, evaluated, newest } = commits;
  if (!applied && !evaluated.length) return null;
  return card("commits", "Commits",
    h("h3", {}, "Applied commit"),
    ...(applied ? appliedCommit(applied) : [h("p", { class: "quiet" }, "No commit is applied yet.")]),
    evaluated.length ? h("h3", {}, "Evaluated commits, newest first") : null,
    evaluated.length ? h("ul", { class: "rows" }, evaluated.map((commit) => evaluatedCommit(commit, newest))) : null);
}

function appliedCommit(commit) {
  if (!commit.at) return [h("p", { class: "lead" }, commitName(commit)), h("p", { class: "quiet" }, "Applied before any task reported it: no changes are known.")];
  return [
    h("p", { class: "lead" }, commitName(commit), " ", commit.class ? badge(commit.class) : null),
    h("p", { class: "quiet" }, commit.author ? `${commit.author} · ` : "", inside("applied", commit.run), " ", time(commit.at)),
    changes(commit.changes),
  ];
}

function changes(sentences) {
  if (!sentences?.length) return h("p", { class: "quiet" }, "No feature changed.");
  return h("ul", { class: "changes" }, sentences.map((sentence) => {
    const kind = sentence.includes("−") ? "minus" : sentence.includes("+") ? "plus" : "other";
    return h("li", { class: `code ${kind}` }, sentence);
  }));
}

function evaluatedCommit(commit, newest) {
  const [text, kind] = OUTCOMES[commit.outcome] ?? [commit.outcome, "none"];
  const role = commit.revision ? `revision ${commit.revision}` : commit.commit === newest?.commit ? "newest" : null;
  return h("li", { class: "step" }, badge(text, kind), h("div", {},
    h("p", {}, commitName(commit)),
    h("p", { class: "quiet" }, [commit.author, commit.class && commit.class !== "none" ? commit.class : null, role].filter(Boolean).map((part) => `${part} · `),
      inside(commit.task, commit.run), " · ", time(commit.at)),
    commit.outcome === "applied" ? null : h("p", { class: "quiet clip" }, commit.summary)));
}

function quarantineCard(model) {
  const files = model.quarantine;
  const kept = `Refused files and their reports are kept for ${count(model.quarantine_days, "day")}.`;
  if (!files.length) return card("quarantine", "Quarantine", h("p", { class: "quiet" }, `No file is quarantined. ${kept}`));
  const shown = files.slice(0, 10);
  return card("quarantine", "Quarantine", h("ul", { class: "rows" }, shown.map((file) => h("li", { class: "step" },
    badge("quarantined"), h("div", {},
      h("p", { class: "code" }, file.source),
      h("p", {}, file.reason, file.rules > 1 ? ` (and ${file.rules - 1} more ${plural(file.rules - 1, "rule", "rules")})` : ""),
      h("p", { class: "quiet" }, inside(`${file.dag} / ${file.task}`, file.run), " · ", time(file.at)),
      h("p", { class: "quiet code" }, file.report_uri))))),
  h("p", { class: "quiet" }, files.length > shown.length ? `${files.length - shown.length} older ${plural(files.length - shown.length, "file", "files")} not shown. ` : "", kept));
}

// --- empty -------------------------------------------------------------------------------------

function emptyCard({ dags }) {
  return h("section", { class: "card empty", "data-part": "empty", "aria-labelledby": "title-empty" },
    h("h2", { id: "title-empty" }, "No data yet"),
    h("p", {}, "1. Trigger the DAG that loads a dataset: its rows become online features."),
    h("p", {}, "2. Push a commit that defines features, or trigger the training DAG: a model follows."),
    dags?.length ? h("ul", { class: "rows" }, dags.map((dag) => h("li", {}, inside(dag.title, dagPath(dag.dag)),
      dag.description ? h("p", { class: "quiet" }, dag.description) : null))) : null);
}
