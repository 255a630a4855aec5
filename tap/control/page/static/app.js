// The page: asks /v1/links every second, hears /v1/events, and draws both.

import { follow, get, post, remove } from "./api.js";
import { chart } from "./charts.js";
import { byId, clock, el, seconds, show, size, stamp, table } from "./dom.js";
import { armBench } from "./bench.js";
import { isPart, sequence } from "./sequence.js";

const MOST_EVENTS = 2000; // kept of each list
const SHOWN_EVENTS = 200;
const SHOWN_REPLICAS = 20; // of a link
const PLAIN = new Set(["commands", "ack", "command", "rdb_key", "rdb_progress"]); // too many to be read
const RESYNCS = new Set(["full_resync", "partial_resync", "resync_refused"]);
const GAPS = new Set(["recording_gap", "recording_stopped", "recording_marked"]);

const state = {
  sampled: 0, links: [], events: [], resyncs: [], gaps: [], parts: new Map(), histories: new Map(), verdicts: [], names: new Map(),
};

function keep(list, one, most = MOST_EVENTS) {
  list.push(one);
  if (list.length > most) list.splice(0, list.length - most);
}

// ---- links ----

function lagOf(one) {
  if (one.lag_bytes === null) return "unknown";
  const bound = one.lag_at_least ? "at least " : "";
  return `${bound}${size(one.lag_bytes)}${one.lag_seconds ? `, ${seconds(one.lag_seconds)}` : ""}`;
}

function stateOf(one) {
  const said = [];
  if (one.silent) said.push(`the ${one.silent} is silent for ${seconds(one[`${one.silent}_silence`])}`);
  if (one.is_stalled) said.push("stalled by a fault");
  if (one.is_held) said.push("a fault holds bytes");
  if (one.is_blocked) said.push("the replica takes no more");
  if (one.has_ended) said.push("a side has ended");
  return said.join("; ");
}

function progress(rdb, phase) {
  if (!rdb || !["waiting", "rdb", "loading"].includes(phase)) return "";
  const words = `RDB ${size(rdb.received)}${rdb.size === null ? "" : ` of ${size(rdb.size)}`}, ${rdb.keys} keys`;
  return el("p", {}, `${words} `, rdb.size ? el("progress", { max: rdb.size, value: rdb.received, "aria-label": words }) : "");
}

function replica(one, link) {
  const fact = (name, value) => [el("div", {}, el("dt", {}, name), el("dd", {}, value))];
  const trouble = stateOf(one);
  const known = (value) => (value === null ? "unknown" : String(value));
  return el("div", { class: "replica" },
    el("ol", { class: "way", "aria-label": "The way of the bytes" },
      el("li", { class: "node" }, el("small", {}, "replica "), one.replica), el("li", { class: "hop" }, "⇄"),
      el("li", { class: "node" }, el("small", {}, "tap "), link.address), el("li", { class: "hop" }, "⇄"),
      el("li", { class: "node" }, el("small", {}, "master "), one.master ?? "none yet"),
      el("li", { class: one.phase === "stream" ? "good" : "warn" }, el("strong", {}, one.phase))),
    trouble ? el("p", { class: "alarm" }, trouble) : "",
    progress(one.rdb, one.phase),
    el("dl", {}, fact("offset", known(one.offset)), fact("acknowledged", known(one.acked)), fact("lag", lagOf(one)),
      fact("replication ID", one.replid ? `${one.replid.slice(0, 8)}…` : "unknown"),
      fact("from the master", size(one.bytes_from_master)),
      one.buffer_bytes === null ? [] : fact("the master's buffer", size(one.buffer_bytes))));
}

function drawLinks() {
  show(byId("link-list"), state.links.length ? state.links.map((link) => {
    const history = state.histories.get(link.name) ?? [];
    const column = (number) => history.map((one) => [one[0], one[number]]);
    const shown = link.connections.slice(0, SHOWN_REPLICAS);
    const others = link.connections.length - shown.length + link.omitted;
    const rest = [others ? `${others} more connections` : "", link.ordinary ? `${link.ordinary} ordinary connections` : ""];
    return el("article", { "aria-label": `Link ${link.name}` },
      el("h3", {}, `${link.name}: ${link.address} → ${link.master ?? "the master of each connection"}`),
      link.is_listening ? "" : el("p", { class: "alarm" }, "It takes no connections at present."),
      el("div", { class: "charts" },
        chart("Lag", column(1), size), chart("From the master", column(2), (rate) => `${size(rate)}/s`)),
      shown.length ? shown.map((one) => replica(one, link))
        : el("p", { class: "none" }, `No replica. On the replica: REPLICAOF ${link.address.replace(/:(\d+)$/, " $1")}`),
      el("p", { class: "soft" }, rest.filter(Boolean).join(", ")));
  }) : el("p", { class: "none" }, "This tap has no link. POST /proxies makes one, as Toxiproxy's clients do."));
}

// ---- what happened ----

function plain(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return value.toPrecision(3);
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 120 ? `${text.slice(0, 118)}…` : text;
}

const words = (one) => Object.entries(one)
  .filter(([name, value]) => !["event", "time", "link", "connection", "replica", "start", "end"].includes(name) && value !== null && value !== "")
  .map(([name, value]) => `${name}=${plain(value)}`).join(" ");

function resyncWords(one) {
  const who = `${one.link} ${one.replica}`;
  if (one.event === "full_resync") {
    return [el("strong", { class: "warn" }, "full resync"), ` ${who}: ${one.reason.code}: ${one.reason.text}`,
      one.reason.inference ? `. Inferred: ${one.reason.inference}` : ""];
  }
  if (one.event === "partial_resync") {
    return [el("strong", { class: "good" }, "partial resync"), ` ${who}: goes on from offset ${one.offset}`];
  }
  return [el("strong", { class: "alarm" }, "refused"), ` ${who}: ${one.reply}`];
}

const newest = (list, most, draw) => list.slice(-most).reverse().map((one) => el("li", {}, stamp(one.time), draw(one)));
const orNone = (list, text) => (list.length ? list : el("li", { class: "none" }, text));

function drawResyncs() {
  const verdicts = state.links.flatMap((link) => link.verdicts);
  show(byId("verdicts"), verdicts.map((one) => el("p", { class: "alarm" }, one.text ?? words(one))));
  show(byId("resync-list"), orNone(newest(state.resyncs, SHOWN_EVENTS, resyncWords), "No resync so far."));
}

function drawGaps() {
  const draw = (one) => [el("strong", {}, one.event.replaceAll("_", " ")), ` ${words(one)}`];
  show(byId("gap-list"), orNone(newest(state.gaps, SHOWN_EVENTS, draw), "No gap, and no mark."));
}

function drawEvents() {
  const wanted = byId("filter").value.trim();
  const found = state.events.filter((one) => !wanted || `${one.event} ${one.link} ${one.replica}`.includes(wanted));
  const draw = (one) => [el("strong", {}, one.event), ` ${one.link ?? ""} ${one.replica ?? ""} ${words(one)}`];
  show(byId("event-list"), orNone(newest(found, SHOWN_EVENTS, draw), "Nothing so far."));
}

function drawHandshake() {
  const select = byId("connections");
  const numbers = [...state.parts.keys()].filter((number) => state.parts.get(number).some((one) => one.event !== "link_opened"));
  const options = numbers.slice(-50).reverse().map((number) => {
    const first = state.parts.get(number)[0];
    return el("option", { value: number }, `${number}: ${state.names.get(number) ?? first.replica} on ${first.link}, ${clock(first.time)}`);
  });
  const chosen = select.value;
  show(select, options);
  if (numbers.includes(Number(chosen))) select.value = chosen;
  const parts = state.parts.get(Number(select.value)) ?? [];
  const master = state.links.find((link) => link.name === parts[0]?.link)?.master;
  show(byId("sequence"), sequence(parts, state.names.get(Number(select.value)) ?? parts[0]?.replica ?? "", master));
}

function hear(one) {
  if (one.event === "lost") {
    keep(state.events, { ...one, time: Date.now() / 1000 });
    return;
  }
  if (PLAIN.has(one.event)) return;
  keep(state.events, one);
  if (RESYNCS.has(one.event)) keep(state.resyncs, one);
  if (GAPS.has(one.event)) keep(state.gaps, one);
  if (one.connection && isPart(one)) {
    if (!state.parts.has(one.connection)) state.parts.set(one.connection, []);
    keep(state.parts.get(one.connection), one, 200);
    if (one.replica) state.names.set(one.connection, one.replica);
    if (state.parts.size > 200) state.parts.delete(state.parts.keys().next().value);
  }
  bench.heard(one);
  changed();
}

let isDrawn = true;
function changed() {
  if (!isDrawn) return;
  isDrawn = false;
  setTimeout(() => {
    isDrawn = true;
    drawResyncs();
    drawGaps();
    drawEvents();
    drawHandshake();
  }, 100);
}

// ---- what is asked ----

async function ask() {
  const said = await get("/v1/links?connections=100");
  state.links = said.links;
  const history = await get(`/v1/history?after=${state.sampled}`);
  for (const name of state.histories.keys()) if (!(name in history.links)) state.histories.delete(name);
  for (const [name, samples] of Object.entries(history.links)) {
    if (!state.histories.has(name)) state.histories.set(name, []);
    for (const one of samples) keep(state.histories.get(name), one, 900);
    state.sampled = Math.max(state.sampled, samples.at(-1)?.[0] ?? 0);
  }
  drawLinks();
  bench.links(said.links.map((link) => link.name));
}

async function askSlowly() {
  const stats = await get("/v1/stats?most=15");
  const heads = [{ name: "command" }, { name: "count", number: true }, { name: "bytes", number: true }];
  show(byId("command-list"), stats.links.length ? stats.links.map((link) => el("div", {}, el("h3", {}, link.link),
    link.commands.length ? table(`Commands of ${link.link}`, heads, link.commands.map((one) => ({
      cells: [one.name, one.count.toLocaleString("en"), size(one.bytes)] }))) : el("p", { class: "none" }, "None so far.")))
    : el("p", { class: "none" }, "No stream so far."));
  const recordings = (await get("/v1/recordings")).recordings;
  show(byId("recording-list"), recordings.length ? recordings.map((one) => el("p", {}, el("code", {}, one.path),
    `, ${size(one.waiting)} not in it yet`, one.lost_bytes ? `, ${size(one.lost_bytes)} left out` : "",
    one.lost_links ? `, ${one.lost_links} connections not recorded` : "", one.trouble ? el("strong", { class: "alarm" }, ` ${one.trouble}`) : ""))
    : el("p", { class: "none" }, "Nothing is being recorded: start the tap with -w FILE.pcapng."));
  for (const id of ["mark", "rotate", "note"]) byId(id).disabled = !recordings.length;
}

function complain(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

async function every(pause, task) {
  for (;;) {
    try {
      if (!document.hidden) await task();
      complain("");
    } catch (error) {
      complain(error instanceof TypeError ? "The tap does not answer. This page asks again each second." : error.message);
    }
    await new Promise((done) => setTimeout(done, pause));
  }
}

async function doing(task) {
  try {
    byId("said").textContent = await task();
  } catch (error) {
    byId("said").textContent = error.message;
  }
}

function setTheme(isDark) {
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  byId("theme").setAttribute("aria-pressed", String(isDark));
}

setTheme((localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark");
byId("theme").addEventListener("click", () => {
  const isDark = document.documentElement.dataset.theme !== "dark";
  localStorage.setItem("theme", isDark ? "dark" : "light");
  setTheme(isDark);
});
byId("filter").addEventListener("input", drawEvents);
byId("connections").addEventListener("change", drawHandshake);
byId("marking").addEventListener("submit", (event) => {
  event.preventDefault();
  doing(async () => {
    await post("/v1/recordings/mark", { note: byId("note").value });
    byId("note").value = "";
    return "Marked.";
  });
});
byId("rotate").addEventListener("click", () => doing(async () => {
  await post("/v1/recordings/rotate");
  return "The next file has begun.";
}));

const bench = armBench({ get, post, remove, doing });
changed();
every(1000, ask);
every(3000, askSlowly);
follow(hear, (is) => {
  byId("connection").textContent = is ? "connected" : "not connected: trying again";
  byId("connection").className = is ? "good" : "alarm";
});
