// The fault bench: choose a fault and its place, arm it, see it fire, remove it.

import { byId, el, show, size, table, times } from "./dom.js";

// Returns heard(event) and links(names), for what the page hears and asks.
export function armBench({ get, post, remove, doing }) {
  const fired = new Map(); // name of a fault: when it fired last
  let kinds = [];
  let names = [];

  const chosen = () => kinds.find((one) => one.kind === byId("kind").value);
  const spec = byId("spec");

  function compose() {
    const one = chosen();
    if (!one) return;
    const place = byId("place").value;
    const link = byId("on-link").value;
    let text = one.example;
    if (place) text = /\bat=\S+/.test(text) ? text.replace(/\bat=\S+/, `at=${place}`) : `${text} at=${place}`;
    if (link) text += ` link=${/\s/.test(link) ? `'${link}'` : link}`;
    spec.value = text;
    byId("does").textContent = [one.does, byId("place").selectedOptions[0]?.title].filter(Boolean).join(" Place: ");
  }

  const actions = (one) => (one.is_over ? "over" : el("button", { type: "button", "aria-label": `Remove ${one.name}`,
    onclick: () => doing(async () => {
      await remove(`/v1/faults/${encodeURIComponent(one.name)}`);
      await refresh();
      return `${one.name} is removed.`;
    }) }, "Remove"));

  const heads = [{ name: "name" }, { name: "fired", number: true }, { name: "bytes", number: true }, { name: "spec" }, { name: "" }];
  let shown = "";

  async function refresh() {
    const said = await get("/v1/faults");
    const found = [...said.faults, ...said.ended.slice(-10).reverse()];
    const now = Date.now();
    const rows = found.map((one) => ({ one, mark: now - (fired.get(one.name) ?? 0) < 3000 ? "fired" : null }));
    const state = JSON.stringify(rows);
    byId("remove-all").disabled = !said.faults.length;
    if (state === shown) return; // the buttons stay where the keyboard is
    shown = state;
    byId("fault-list").replaceChildren(found.length
      ? table("Faults", heads, rows.map(({ one, mark }) => ({
        mark, cells: [one.name, times(one.fired), size(one.bytes), el("code", {}, one.spec), actions(one)] })))
      : el("p", { class: "none" }, "No fault is armed, and none was."));
  }

  byId("bench").addEventListener("submit", (event) => {
    event.preventDefault();
    doing(async () => {
      const armed = await post("/v1/faults", { spec: spec.value });
      await refresh();
      return `${armed.name} is armed.`;
    });
  });
  byId("remove-all").addEventListener("click", () => doing(async () => {
    const { removed } = await remove("/v1/faults");
    await refresh();
    return `${removed.length} removed.`;
  }));
  for (const id of ["kind", "place", "on-link"]) byId(id).addEventListener("change", compose);

  (async () => {
    const reference = await get("/v1/fault-kinds");
    kinds = reference.kinds;
    show(byId("kind"), kinds.map((one) => el("option", { value: one.kind }, one.kind)));
    show(byId("place"), el("option", { value: "" }, "as in the example"),
      Object.entries(reference.places).map(([name, words]) => el("option", { value: name, title: words }, name)));
    if (reference.read_only) {
      for (const one of document.querySelectorAll("#bench button, #remove-all, #marking button")) one.remove();
      byId("said").textContent = "This tap is read-only: faults cannot be armed.";
    }
    compose();
  })().catch((error) => { byId("said").textContent = error.message; });
  setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, 1000);

  return {
    heard(one) {
      if (one.event === "fault_fired" && Date.now() / 1000 - one.time < 5) fired.set(one.fault, Date.now());
    },
    links(now) {
      if (now.join("\n") === names.join("\n") && byId("on-link").options.length) return;
      names = now;
      show(byId("on-link"), el("option", { value: "" }, "all links"), names.map((name) => el("option", { value: name }, name)));
    },
  };
}
