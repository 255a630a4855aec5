// The handshake of one connection as a sequence diagram: what the replica and the master said to each other.

import { clock, el, size, svg } from "./dom.js";

const LEFT = 130;
const RIGHT = 610;
const STEP = 34;
const MOST = 60; // arrows
const short = (text) => (text.length > 62 ? `${text.slice(0, 60)}…` : text);

// An event as arrows: [from the replica?, words]. null: a note in the middle.
const ARROWS = {
  link_opened: (one) => [[null, `connected from ${one.peer}`]],
  handshake: (one) => [
    ...(one.request.length ? [[true, one.request.join(" ")]] : []), ...(one.reply === null ? [] : [[false, one.reply]])],
  psync_requested: (one) => [[true, `PSYNC ${one.replid ?? "?"} ${one.offset}`]],
  sync_requested: () => [[true, "SYNC"]],
  full_resync: (one) => [[false, `+FULLRESYNC ${one.replid ?? ""} ${one.offset ?? ""}`], [null, one.reason.text]],
  partial_resync: (one) => [[false, `+CONTINUE ${one.replid ?? ""}, from offset ${one.offset}`]],
  resync_refused: (one) => [[false, one.reply]],
  rdb_started: (one) => [[false, `RDB begins, ${one.size === null ? "diskless" : size(one.size)}`]],
  rdb_finished: (one) => [[false, `RDB ends, ${size(one.bytes)}, ${one.keys} keys`]],
  stream_started: (one) => [[null, `the stream begins after offset ${one.offset}`]],
  fault_fired: (one) => [[null, `fault ${one.fault}: ${one.text}`]],
  link_closed: (one) => [[null, `closed by the ${one.by} (${one.how})`]],
};

export const isPart = (one) => one.event in ARROWS;

export function sequence(events, replica, master) {
  const found = events.flatMap((one) => ARROWS[one.event](one).map(([way, words]) => ({ way, words, time: one.time })));
  const arrows = found.slice(0, MOST);
  if (!arrows.length) return el("p", { class: "none" }, "No handshake has been seen on this connection.");
  const height = 46 + arrows.length * STEP;
  const drawn = arrows.map(({ way, words, time }, number) => {
    const y = 60 + number * STEP;
    const [from, to] = way ? [LEFT, RIGHT] : [RIGHT, LEFT];
    const side = way ? 1 : -1;
    return svg("g", {},
      svg("title", {}, words),
      svg("text", { x: 0, y: y + 4, class: "when" }, clock(time)),
      svg("text", { x: (LEFT + RIGHT) / 2, y: way === null ? y + 4 : y - 5, "text-anchor": "middle" }, short(words)),
      way === null ? "" : svg("line", { class: "arrow", x1: from, x2: to - side * 8, y1: y, y2: y }),
      way === null ? "" : svg("polygon", { class: "tip", points: `${to},${y} ${to - side * 9},${y - 4} ${to - side * 9},${y + 4}` }));
  });
  const life = (x, name, anchor) => [
    svg("text", { x, y: 20, "text-anchor": anchor }, name), svg("line", { class: "life", x1: x, x2: x, y1: 28, y2: height })];
  return [
    svg("svg", { viewBox: `0 0 740 ${height + 6}`, role: "img", "aria-label": `Handshake of ${replica} with ${master}` },
      life(LEFT, `replica ${replica}`, "middle"), life(RIGHT, `master ${master ?? ""}`, "middle"), drawn),
    found.length > MOST ? el("p", { class: "soft" }, `and ${found.length - MOST} more`) : ""];
}
