// The Airflow around the page: its theme, its navigation and its API.

import { airflow } from "./dom.js";

// Neutral and brand colours follow Airflow's theme; colours of states are page.css's own, whose contrast is tested.
const COLOURS = ["bg", "bg-muted", "fg", "fg-muted", "border", "brand-solid", "brand-contrast", "fg-info"];
const TIMEOUT_MS = 20_000;
const MOST_PIPELINES = 12;

/** The page that frames this one, if it is Airflow's. */
function frame() {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null;
  }
}

export function followTheme() {
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

/**
 * Airflow frames the page without the right to open windows or to navigate, so links are followed in the
 * frame around it.
 */
export function followLinks() {
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
}

/** A request that failed; the state is what the page shows. */
export class RequestError extends Error {
  constructor(state, message) {
    super(message);
    this.state = state;
  }
}

const STATES = { 401: "signed-out", 403: "forbidden" };

export async function get(url) {
  let response;
  try {
    response = await fetch(url, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new RequestError("offline", navigator.onLine
      ? "Airflow's API server does not respond: check that it runs."
      : "This device has no network connection.");
  }
  const content = await response.json().catch(() => null);
  if (response.ok && content) return content;
  const state = STATES[response.status] ?? "server-error";
  const code = `${response.status} ${response.statusText}`.trim();
  throw new RequestError(state, response.ok
    ? "The response is not JSON: check the proxy in front of Airflow."
    : `Airflow's API server returned ${code}: check its log.`);
}

/** Questions that wait for an approver; null where Airflow does not list them for this user. */
export async function waiting() {
  const url = new URL("api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false&order_by=-created_at&limit=50", airflow);
  const found = await get(url).catch(() => null);
  const open = ["deferred", "awaiting_input", "running"];
  return found?.hitl_details.filter(({ task_instance: task }) =>
    task.operator_name === "ApproveOperator" && open.includes(task.state)) ?? null;
}

/** The DAGs that are tagged as the feature store's, each with its newest run as Airflow knows it. */
export async function pipelines() {
  const found = await get(new URL("api/v2/dags?tags=feature%20store&order_by=dag_id", airflow)).catch(() => null);
  return Promise.all((found?.dags ?? []).slice(0, MOST_PIPELINES).map(async (dag) => {
    const runs = new URL(`api/v2/dags/${encodeURIComponent(dag.dag_id)}/dagRuns?order_by=-run_after&limit=1`, airflow);
    const newest = await get(runs).catch(() => null);
    const run = newest?.dag_runs?.[0];
    return {
      dag: dag.dag_id,
      title: dag.dag_display_name ?? dag.dag_id,
      description: dag.description,
      newest: run ? { run_id: run.dag_run_id, state: run.state, at: run.end_date ?? run.start_date ?? run.run_after } : null,
    };
  }));
}
