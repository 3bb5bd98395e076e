// Charts as plain SVG: drawn to the width that they have, each with its values as a table.

import { badge, card, count, disclosure, exactly, h, inside, now, number, s, since, table } from "./dom.js";

const HEIGHT = 190;
const MARGIN = { top: 12, right: 12, bottom: 24, left: 44 };
const SERIES = 4;
const TABLE_ROWS = 10;
// Usual limits of the population stability index.
const MODERATE = 0.1;
const STRONG = 0.25;
const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
const drawings = new WeakMap();

export function chartsCard(model) {
  if (![model.freshness, model.loads, model.drift].some((found) => found.length)) return null;
  const charts = [freshnessChart(model.freshness), loadsChart(model.loads), ...driftCharts(model.drift)];
  return card("charts", "Over time", h("div", { class: "charts" }, charts));
}

/** Draw every chart below an element to its current width. */
export function drawCharts(root) {
  for (const figure of root.querySelectorAll("figure.chart")) {
    const plot = figure.querySelector(".plot");
    const draw = drawings.get(figure);
    if (draw && plot.clientWidth) plot.replaceChildren(draw(plot.clientWidth));
  }
}

function chart({ name, title, note, empty, draw, legend, values }) {
  const id = `chart-${name}`;
  const caption = h("figcaption", {}, h("h3", { id }, title), note ? h("p", { class: "quiet" }, note) : null);
  if (empty) return h("figure", { class: "chart", "aria-labelledby": id, "data-chart": name }, caption, h("p", { class: "quiet nothing" }, empty));
  const figure = h("figure", { class: "chart", "aria-labelledby": id, "data-chart": name },
    caption, h("div", { class: "plot" }), legend ?? null, disclosure(`values:${name}`, `Values of ${title.toLowerCase()}`, values));
  drawings.set(figure, draw);
  return figure;
}

// --- axes --------------------------------------------------------------------------------------

/** Return a frame with linear axes: time from left to right, values from bottom to top. */
function frame(width, label, { from, to, least = 0, most, ticks, text }) {
  const right = width - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const x = (at) => MARGIN.left + ((at - from) / (to - from || 1)) * (right - MARGIN.left);
  const y = (value) => bottom - ((value - least) / (most - least || 1)) * (bottom - MARGIN.top);
  const svg = s("svg", { role: "img", "aria-label": label, width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` });
  for (const tick of ticks) {
    svg.append(s("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick) }),
      s("text", { x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, text(tick)));
  }
  return { svg, x, y, right, bottom };
}

function timeLabels({ svg, right }, from, to) {
  const day = { month: "short", day: "numeric" };
  const format = new Intl.DateTimeFormat(undefined, to - from > 2 * 86_400_000 ? day : { ...day, hour: "2-digit", minute: "2-digit" });
  svg.append(s("text", { x: MARGIN.left, y: HEIGHT - 6 }, format.format(from)),
    s("text", { x: right, y: HEIGHT - 6, "text-anchor": "end" }, to >= now() - 1000 ? "now" : format.format(to)));
}

/** Return a few round values between two, the first at or above the least. */
function roundTicks(least, most, wanted = 4) {
  const rough = (most - least) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let tick = Math.ceil(least / step) * step; tick <= most + step / 1e6; tick += step) ticks.push(Number(tick.toPrecision(12)));
  return ticks;
}

const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
const legendOf = (names) => h("ul", { class: "legend" }, names.map(([name, value], at) =>
  h("li", {}, s("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" }, s("path", { class: `line s${at}`, d: "M0 4H24" })), `${name} ${value}`)));

// --- freshness ---------------------------------------------------------------------------------

/** The age grows between loads and falls with each: a saw. */
function ages(points, until) {
  const found = [];
  points.forEach(([at, newest], index) => {
    const loaded = new Date(at).getTime();
    const event = new Date(newest).getTime();
    const next = index + 1 < points.length ? new Date(points[index + 1][0]).getTime() : until;
    found.push([loaded, (loaded - event) / 1000], [next, (next - event) / 1000]);
  });
  return found;
}

function freshnessChart(freshness) {
  const title = "Freshness";
  if (!freshness.length) return chart({ name: "freshness", title, empty: "No load has reported its event times yet." });
  const until = now();
  const series = freshness.map(({ view, points }) => ({ view, points, ages: ages(points, until) }))
    .sort((one, other) => other.ages.at(-1)[1] - one.ages.at(-1)[1]);
  const shown = series.slice(0, SERIES);
  const note = `Age of the newest event time online${series.length > SERIES ? `; the ${SERIES} oldest of ${series.length} views` : ""}`;
  return chart({
    name: "freshness", title, note,
    draw: (width) => drawAges(width, shown),
    legend: legendOf(shown.map(({ view, ages: found }) => [view, age(found.at(-1)[1])])),
    values: table("Freshness after each load", [{ title: "Load" }, { title: "View" }, { title: "Newest event" }],
      newestRows(shown.flatMap(({ view, points }) => points.map(([at, newest]) => [at, view, newest])))
        .map(([at, view, newest]) => [exactly(at), view, exactly(newest)])),
  });
}

const newestRows = (rows) => rows.toSorted((one, other) => (one[0] < other[0] ? 1 : -1)).slice(0, TABLE_ROWS);

function age(seconds) {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= 2 * size) ?? UNITS.at(-1);
  return `${number.format(Math.round(seconds / size))} ${unit}`;
}

function drawAges(width, series) {
  const all = series.flatMap((one) => one.ages);
  const values = all.map(([, value]) => value);
  const [low, high] = [Math.min(0, ...values), Math.max(...values, 1)];
  const smallest = Math.min(...values);
  // A saw on top of years is drawn without the years below it.
  const least = smallest > high / 2 ? smallest - (high - smallest || high / 10) * 0.2 : low;
  const [unit, size] = UNITS.find(([, size]) => high - least >= 2 * size) ?? UNITS.at(-1);
  const ticks = roundTicks(least / size, high / size).map((tick) => tick * size);
  const from = Math.min(...all.map(([at]) => at));
  const to = Math.max(...all.map(([at]) => at));
  const label = series.map(({ view, ages: found }) => `${view}: newest event ${age(found.at(-1)[1])} old`).join("; ");
  const axes = frame(width, label, { from, to, least, most: high, ticks, text: (tick) => `${number.format(Number((tick / size).toPrecision(6)))} ${unit}` });
  series.forEach((one, at) => axes.svg.append(
    s("path", { class: `line s${at}`, d: path(one.ages.map(([time, value]) => [axes.x(time), axes.y(value)])) })));
  timeLabels(axes, from, to);
  return axes.svg;
}

// --- rows per load -----------------------------------------------------------------------------

function loadsChart(loads) {
  const title = "Rows per load";
  if (!loads.length) return chart({ name: "loads", title, empty: "No load has been reported yet." });
  const bad = loads.filter(({ state }) => ["failed", "quarantined"].includes(state)).length;
  const most = Math.max(1, ...loads.map(({ rows }) => rows ?? 0));
  const logarithmic = most > 1000;
  const note = `Last ${count(loads.length, "load")}, ${bad ? `${bad} failed or quarantined` : "none failed"}${logarithmic ? "; logarithmic scale" : ""}`;
  return chart({
    name: "loads", title, note,
    draw: (width) => drawLoads(width, loads, most, logarithmic, note),
    values: table("Last loads", [{ title: "Load" }, { title: "Dataset" }, { title: "State" }, { title: "Rows", number: true }],
      loads.toReversed().slice(0, TABLE_ROWS).map((load) => [inside(exactly(load.at), load.run), load.dataset ?? "", badge(load.state), load.rows == null ? "–" : number.format(load.rows)])),
  });
}

function drawLoads(width, loads, most, logarithmic, note) {
  const scale = logarithmic ? (rows) => Math.log10(Math.max(rows, 1)) + (rows ? 0.3 : 0) : (rows) => rows;
  const top = scale(most);
  const decades = Array.from({ length: Math.ceil(Math.log10(most)) + 1 }, (_, power) => 10 ** power).filter((rows) => rows <= most);
  const step = Math.ceil(decades.length / 4);
  const shownRows = logarithmic ? decades.filter((_, at) => at % step === 0) : roundTicks(0, most).filter(Number.isInteger);
  const loaded = loads.findLast(({ rows }) => rows != null);
  const label = `${note}. ${loaded ? `Newest load: ${count(loaded.rows, "row")}, ${since(loaded.at)}.` : ""}`;
  const axes = frame(width, label, { from: -0.7, to: loads.length - 0.3, most: top * 1.05, ticks: shownRows.map(scale), text: (tick) => compact(shownRows.find((rows) => scale(rows) === tick)) });
  const bar = Math.max(2, Math.min(18, (axes.x(1) - axes.x(0)) * 0.7));
  loads.forEach((load, at) => axes.svg.append(mark(load, axes, at, scale, bar)));
  axes.svg.append(s("line", { class: "axis", x1: MARGIN.left, x2: axes.right, y1: axes.bottom, y2: axes.bottom }));
  timeLabels(axes, new Date(loads[0].at), new Date(loads.at(-1).at));
  return axes.svg;
}

function mark(load, { x, y, bottom }, at, scale, bar) {
  const text = `${exactly(load.at)}: ${load.rows == null ? load.state : count(load.rows, "row")}`;
  const title = s("title", {}, text);
  const centre = x(at);
  if (load.state === "success") {
    const height = Math.max(2, bottom - y(scale(load.rows ?? 0)));
    return s("rect", { class: "bar", x: centre - bar / 2, y: bottom - height, width: bar, height, rx: Math.min(2, bar / 3) }, title);
  }
  const half = Math.max(3, Math.min(5, bar / 2));
  const middle = bottom - half - 3;
  const shapes = {
    failed: `M${centre - half} ${middle - half}L${centre + half} ${middle + half}M${centre + half} ${middle - half}L${centre - half} ${middle + half}`,
    quarantined: `M${centre} ${middle - half}L${centre + half} ${middle + half}H${centre - half}Z`,
  };
  return s("path", { class: `mark ${load.state}`, d: shapes[load.state] ?? `M${centre - half} ${bottom - 1}H${centre + half}` }, title);
}

const compact = (rows) => new Intl.NumberFormat("en", { notation: "compact" }).format(rows);

// --- drift -------------------------------------------------------------------------------------

function driftCharts(drift) {
  if (!drift.length) return [chart({ name: "drift", title: "Drift", empty: "No drift is recorded yet: run the DAG that measures it." })];
  return drift.map(({ model, points }) => driftChart(model, points));
}

function driftChart(model, points) {
  const newest = points.at(-1);
  const names = Object.keys(newest.features).sort((one, other) => newest.features[other] - newest.features[one]);
  const shown = names.slice(0, SERIES);
  const more = names.length > SERIES ? `; the ${SERIES} highest of ${names.length} features` : "";
  return chart({
    name: `drift-${model}`, title: `Drift of ${model}`,
    note: `Population stability index over ${count(newest.rows ?? 0, "requested key")}${more}`,
    draw: (width) => drawDrift(width, points, shown),
    legend: legendOf(shown.map((name) => [name, newest.features[name].toFixed(3)])),
    values: table(`Drift of ${model}`, [{ title: "Feature" }, { title: "Index", number: true }, { title: "Drift" }],
      names.map((name) => [h("span", { class: "code" }, name), newest.features[name].toFixed(3), degree(newest.features[name])])),
  });
}

function degree(index) {
  if (index > STRONG) return badge("strong", "failed");
  return index > MODERATE ? badge("moderate", "warning") : badge("none", "success");
}

function drawDrift(width, points, names) {
  const times = points.map(({ at }) => new Date(at).getTime());
  const most = Math.max(STRONG * 1.2, ...points.flatMap(({ features }) => names.map((name) => features[name] ?? 0))) * 1.05;
  const [from, to] = [times[0], Math.max(times.at(-1), times[0] + 1)];
  const newest = points.at(-1).features;
  const label = names.map((name) => `${name}: ${newest[name].toFixed(3)}`).join("; ");
  const axes = frame(width, label, { from, to, most, ticks: roundTicks(0, most), text: (tick) => String(tick) });
  const limits = [[axes.y(MODERATE), "moderate"], [axes.y(STRONG), "strong"]];
  axes.svg.append(...limits.map(([y]) => s("line", { class: "limit", x1: MARGIN.left, x2: axes.right, y1: y, y2: y })));
  names.forEach((name, at) => {
    const line = points.flatMap(({ features }, index) => (features[name] == null ? [] : [[axes.x(times[index]), axes.y(features[name])]]));
    axes.svg.append(s("path", { class: `line s${at}`, d: path(line) }));
    if (line.length === 1) axes.svg.append(s("circle", { class: `dot s${at}`, cx: line[0][0], cy: line[0][1], r: 3 }));
  });
  // Last, so that no line crosses the words.
  axes.svg.append(...limits.map(([y, text]) => s("text", { class: "on-plot", x: MARGIN.left + 4, y: y - 4 }, text)));
  timeLabels(axes, from, times.at(-1));
  return axes.svg;
}
