// The last half hour of a figure, as an area. A gap is where nothing is known.

import { clock, el, svg } from "./dom.js";

export const HALF_HOUR = 1800;
const WIDTH = 300;
const HEIGHT = 60;

// points: [time, value or null], oldest first. words: a value for people.
export function chart(name, points, words) {
  const end = points.length ? points.at(-1)[0] : 0;
  const shown = points.filter(([time]) => time > end - HALF_HOUR);
  const known = shown.filter(([, value]) => value !== null).map(([, value]) => value);
  const top = Math.max(1, ...known);
  const begin = Math.min(shown.length ? shown[0][0] : 0, end - 60);
  const x = (time) => (((time - begin) / (end - begin || 1)) * WIDTH).toFixed(1);
  const y = (value) => (HEIGHT - (value / top) * (HEIGHT - 4)).toFixed(1);
  const runs = [];
  let run = null;
  for (const [time, value] of shown) {
    if (value === null) run = null;
    else {
      if (run === null) runs.push((run = []));
      run.push([x(time), y(value)]);
    }
  }
  const last = known.length ? words(known.at(-1)) : "unknown";
  const most = known.length ? `at most ${words(Math.max(...known))}` : "";
  return el("figure", {},
    el("figcaption", {}, el("span", {}, `${name}: `, el("strong", {}, last)), el("span", {}, most)),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `${name} from ${clock(begin)} to ${clock(end)}: now ${last}, ${most || "nothing known"}` },
      svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
      runs.map((one) => {
        const line = one.map((point) => point.join(",")).join(" ");
        return [svg("polygon", { class: "area", points: `${one[0][0]},${HEIGHT} ${line} ${one.at(-1)[0]},${HEIGHT}` }),
          svg("polyline", { class: "trace", points: line })];
      })));
}
