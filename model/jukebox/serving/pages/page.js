"use strict";

const FEW = 10, ALL = 300, ASK_EVERY = 2000;
const $ = (id) => document.getElementById(id);
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const number = { format: (value) => digits.format(value).replace(/^-/, "−") };
// Upper ends of the bars' scale: the smallest that holds the most likely country.
const SCALES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const day = new Intl.DateTimeFormat("en", { dateStyle: "long", timeZone: "UTC" });
const since = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const regions = new Intl.DisplayNames(["en"], { type: "region", fallback: "code" });
const PITCHES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
// What people expect to read; any other feature is shown as it is.
const READABLE = {
  duration_ms: (ms) => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")} min`,
  loudness: (decibel) => `${number.format(decibel)} dB`,
  tempo: (beats) => `${number.format(beats)} BPM`,
  key: (pitch) => PITCHES[pitch] ?? "unknown",
  mode: (mode) => (mode ? "major" : "minor"),
};
const NAMES = { duration_ms: "duration", is_explicit: "explicit" };

const state = { song: null, answer: null, before: null, all: false, asked: 0, flags: new Set(), options: [], at: -1 };

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function probabilityText(probability) {
  return probability > 0 && probability < 0.001 ? "<0.1%" : percent.format(probability);
}

function isId(text) {
  return /^[0-9A-Za-z]{22}$/.test(text);
}

function show(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
}

async function get(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  const content = await response.json().catch(() => ({ detail: "The service's answer can't be read." }));
  return { status: response.status, content };
}

/* The answer */

function flag(country) {
  if (!state.flags.has(country)) return element("span", { class: "code", "aria-hidden": "true" }, country);
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("class", "flag");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#${country}`);
  drawing.append(use);
  return drawing;
}

function nameOf(country) {
  try { return regions.of(country); } catch { return country; }
}

function move(country, rank) {
  const old = state.before?.ranks.get(country);
  if (old === undefined || old === rank) return "";
  const text = `${old > rank ? "▲" : "▼"} ${Math.abs(old - rank)}`;
  const words = `${old > rank ? "up" : "down"} ${Math.abs(old - rank)} since version ${state.before.version}`;
  return element("span", { class: "move", title: words }, element("span", { "aria-hidden": "true" }, text), element("span", { class: "unseen" }, words));
}

function drawRanking(countries) {
  const scale = SCALES.find((end) => end >= countries[0].probability) ?? 1;
  $("scale-to").textContent = `${100 * scale}%`;
  const shown = state.all ? countries : countries.slice(0, FEW);
  const old = new Map([...$("ranking").children].map((row) => [row.dataset.country, row.querySelector(".bar").style.width]));
  const rows = shown.map(({ country, probability }, rank) => {
    const bar = element("span", { class: "bar" });
    bar.style.width = old.get(country) ?? "0";
    const name = element("span", { class: "name" }, nameOf(country), move(country, rank));
    const row = element("li", { "data-country": country }, flag(country), name,
      element("span", { class: "track", "aria-hidden": "true" }, bar),
      element("span", { class: "percent" }, probabilityText(probability)));
    requestAnimationFrame(() => requestAnimationFrame(() => { bar.style.width = `${(100 * probability) / scale}%`; }));
    return row;
  });
  $("ranking").replaceChildren(...rows);
  $("more").hidden = countries.length <= FEW;
  $("more").textContent = state.all ? `Show the first ${FEW}` : `Show all ${countries.length} countries`;
  $("more").setAttribute("aria-expanded", state.all);
}

function readable({ name, value }) {
  if (value === null) return "null in the store";
  if (READABLE[name]) return READABLE[name](value);
  return typeof value === "boolean" ? (value ? "yes" : "no") : number.format(value);
}

function ago(moment) {
  const days = Math.round((moment - Date.now()) / 86400000);
  if (Math.abs(days) < 45) return since.format(days, "day");
  return Math.abs(days) < 548 ? since.format(Math.round(days / 30.44), "month") : since.format(Math.round(days / 365.25), "year");
}

function drawFeatures({ features, missing, features_as_of: asOf }) {
  $("features").replaceChildren(...features.map((feature) => {
    const told = element("dd", feature.value === null ? { class: "null" } : {}, readable(feature));
    const name = (NAMES[feature.name] ?? feature.name).replaceAll("_", " ");
    const when = feature.event_timestamp ? `, as of ${feature.event_timestamp}` : "";
    return element("div", { title: `${feature.ref}${when}` }, element("dt", {}, name), told);
  }));
  const moment = asOf && new Date(asOf);
  const fresh = moment ? `as of ${day.format(moment)} (${ago(moment)})` : "of unknown age";
  const gaps = missing.length ? `; ${missing.length} missing, which the model estimated` : "";
  $("fresh").textContent = `${features.length} features ${fresh}${gaps}`;
}

function draw(answer, milliseconds) {
  const { song, name, artists, countries, model } = answer;
  if ($("search").value === song) $("search").value = name ?? song;
  $("song").textContent = name ?? song;
  $("artists").textContent = artists ?? "";
  show("id", name ? song : "");
  drawRanking(countries);
  drawFeatures(answer);
  const commit = model.git_commit ? `, commit ${model.git_commit.slice(0, 7)}` : "";
  $("by").textContent = `Answered by version ${model.version} (${model.alias})${commit}, in ${Math.round(milliseconds)} ms${state.before ? `; arrows compare with version ${state.before.version}` : ""}`;
  $("answer").hidden = false;
  $("hint").hidden = $("problem").hidden = true;
  document.title = `${name ?? song} · Jukebox`;
  const best = countries.slice(0, 3).map(({ country, probability }) => `${nameOf(country)} ${probabilityText(probability)}`);
  $("spoken").textContent = `${name ?? song}: ${best.join(", ")}. Version ${model.version}.`;
}

function message(title, text, spoken = text) {
  $("problem-title").textContent = title;
  $("problem-text").textContent = text;
  $("spoken").textContent = `${title}. ${spoken}`;
  $("problem").hidden = false;
  $("hint").hidden = $("answer").hidden = true;
}

function noResults(text) {
  Object.assign(state, { song: null, answer: null });
  document.title = "Jukebox";
  message("No results", `No song matches “${text}”. Search for words of a song's name or its artists, or enter a Spotify ID of 22 letters and digits.`);
}

function explain(status, detail) {
  if (status === 404 && !isId(state.song)) return noResults(state.song);
  const titles = { 404: "Not in the feature store yet", 422: "No answer for this song", 503: "One moment" };
  const text = status === 404
    ? `Nothing is known of ${state.song} so far. Once it is loaded, its prediction appears here by itself.`
    : `${detail}${status === 503 ? " This page tries again every two seconds." : ""}`;
  message(titles[status] ?? "That did not work", text, detail);
}

async function ask(song, again = false) {
  const turn = ++state.asked;
  if (!again) Object.assign(state, { song, all: false, before: null });
  const started = performance.now();
  const { status, content } = await get(`predict/${encodeURIComponent(song)}?top=${ALL}${again ? "&poll=true" : ""}`)
    .catch(() => ({ status: 0, content: { detail: "The service does not respond." } }));
  if (turn !== state.asked) return; // the person has gone on to another song
  if (status === 200) {
    const old = state.answer;
    if (again && old?.song === song && old.model.version !== content.model.version) {
      state.before = { version: old.model.version, ranks: new Map(old.countries.map(({ country }, rank) => [country, rank])) };
    }
    state.answer = content;
    draw(content, performance.now() - started);
  } else if (!(again && status === 0)) {
    state.answer = null;
    explain(status, content.detail);
  }
}

function open(song, { push = true, label = song } = {}) {
  close();
  $("search").value = label;
  if (push) history.pushState({}, "", `?${new URLSearchParams({ song })}`);
  ask(song);
}

/* The search */

function close() {
  $("options").hidden = true;
  $("search").setAttribute("aria-expanded", "false");
  $("search").removeAttribute("aria-activedescendant");
  state.at = -1;
}

function choose(at) {
  state.at = at;
  [...$("options").children].forEach((option, index) => option.setAttribute("aria-selected", index === at));
  if (at < 0) return $("search").removeAttribute("aria-activedescendant");
  $("search").setAttribute("aria-activedescendant", `option-${at}`);
  $("options").children[at].scrollIntoView({ block: "nearest" });
}

async function suggest() {
  const text = $("search").value.trim();
  const found = text ? (await get(`songs?${new URLSearchParams({ q: text })}`).catch(() => ({ content: {} }))).content.songs : [];
  if (text !== $("search").value.trim() || document.activeElement !== $("search")) return;
  state.options = found ?? [];
  $("options").replaceChildren(...state.options.map(({ song, name, artists }, at) =>
    element("li", { role: "option", id: `option-${at}`, "aria-selected": "false", "data-song": song },
      element("b", {}, name ?? song), element("span", {}, artists ?? ""))));
  if (!state.options.length) return close();
  $("options").hidden = false;
  $("search").setAttribute("aria-expanded", "true");
  choose(-1);
}

async function submit(event) {
  event.preventDefault();
  const text = $("search").value.trim();
  if (!text) return;
  const chosen = $("options").hidden ? undefined : state.options[state.at];
  if (chosen) return open(chosen.song, { label: chosen.name ?? chosen.song });
  if (isId(text)) return open(text);
  // The suggestions may be those of an earlier text.
  const turn = ++state.asked;
  const { status, content } = await get(`songs?${new URLSearchParams({ q: text })}`)
    .catch(() => ({ status: 0, content: { detail: "The service does not respond." } }));
  if (turn !== state.asked) return;
  close();
  if (status !== 200) return explain(status, content.detail);
  const [first] = content.songs;
  if (first) return open(first.song, { label: first.name ?? first.song });
  if (!content.searchable) return open(text);
  history.pushState({}, "", "./");
  noResults(text);
}

function press(event) {
  const count = state.options.length;
  if (event.key === "Escape" && !$("options").hidden) { event.preventDefault(); close(); }
  if (!["ArrowDown", "ArrowUp"].includes(event.key) || !count || $("options").hidden) return;
  event.preventDefault();
  choose(event.key === "ArrowDown" ? (state.at + 1) % count : (state.at <= 0 ? count : state.at) - 1);
}

/* What happens by itself: a new model answers in a page that nobody touched. */

function drawLinks(version, { mlflow, airflow } = {}) {
  const targets = { mlflow: mlflow && `${mlflow}/#/models/jukebox${version ? `/versions/${version}` : ""}`, airflow };
  for (const [name, target] of Object.entries(targets)) {
    const link = $(`link-${name}`);
    link.hidden = !target;
    if (target) link.href = target;
  }
}

function drawModel({ version, alias, git_commit: commit, refused, troubles, links }) {
  drawLinks(version, links);
  $("chip").dataset.state = version ? "good" : "bad";
  $("chip-text").textContent = version ? `${alias} · version ${version}${commit ? ` · ${commit.slice(0, 7)}` : ""}` : `${alias} · no model yet`;
  const stays = version ? ` Version ${version} goes on answering.` : "";
  const news = refused ? `Version ${refused.version} is refused: ${refused.reason}.${stays}` : Object.values(troubles)[0] ?? "";
  if ($("notice").textContent !== news) show("notice", news);
}

async function look() {
  if (document.hidden) return;
  const { status, content } = await get("model").catch(() => ({ status: 0 }));
  if (status !== 200) {
    $("chip").dataset.state = "bad";
    $("chip-text").textContent = "the service does not respond";
    return;
  }
  drawModel(content);
  const waiting = state.song && !state.answer;
  const changed = state.answer && content.version && state.answer.model.version !== content.version;
  if (waiting || changed) ask(state.song, true);
}

async function loadExamples() {
  const { content } = await get("songs/examples").catch(() => ({ content: {} }));
  const songs = content.songs ?? [];
  $("example-songs").replaceChildren(...songs.map(({ song, name, artists }) => {
    const link = element("a", { href: `?${new URLSearchParams({ song })}` }, name ?? song);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(song, { label: name ?? song });
    });
    return element("li", {}, link, element("span", {}, artists ?? ""));
  }));
  $("examples").hidden = !songs.length;
}

async function loadFlags() {
  const response = await fetch("static/flags.svg");
  const drawn = new DOMParser().parseFromString(await response.text(), "image/svg+xml").documentElement;
  drawn.setAttribute("class", "unseen");
  drawn.setAttribute("aria-hidden", "true");
  document.body.append(document.importNode(drawn, true));
  state.flags = new Set([...drawn.querySelectorAll("symbol")].map(({ id }) => id));
  if (state.answer) drawRanking(state.answer.countries);
}

function start() {
  let typing;
  $("form").addEventListener("submit", submit);
  $("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(suggest, 120); });
  $("search").addEventListener("keydown", press);
  $("search").addEventListener("blur", () => setTimeout(close, 150));
  $("options").addEventListener("mousedown", (event) => {
    event.preventDefault();
    const option = event.target.closest("[data-song]");
    if (option) open(option.dataset.song, { label: option.firstChild.textContent });
  });
  $("more").addEventListener("click", () => { state.all = !state.all; drawRanking(state.answer.countries); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== $("search")) { event.preventDefault(); $("search").focus(); $("search").select(); }
  });
  const follow = () => {
    const song = new URLSearchParams(location.search).get("song");
    if (song) open(song, { push: false });
    else { Object.assign(state, { song: null, answer: null }); $("answer").hidden = $("problem").hidden = true; $("hint").hidden = false; }
  };
  addEventListener("popstate", follow);
  follow();
  loadFlags();
  loadExamples();
  look();
  setInterval(look, ASK_EVERY);
}

start();
