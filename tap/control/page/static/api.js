// The tap's API. If it wants a token, the browser asks for it (HTTP Basic) before it shows this page, and sends it along.

async function answered(response) {
  const said = await response.json().catch(() => null);
  if (!response.ok) throw new Error(said?.error ?? `the tap answers ${response.status}`);
  return said;
}

export const get = async (path) => answered(await fetch(path, { cache: "no-store" }));
export const remove = async (path) => answered(await fetch(path, { method: "DELETE" }));
export const post = async (path, body) =>
  answered(await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body ?? {}) }));

// Calls hear(event) for each event, and connected(whether) as the stream comes and goes; goes on for ever.
export async function follow(hear, connected) {
  let place = "start";
  for (;;) {
    try {
      const response = await fetch(`/v1/events?after=${encodeURIComponent(place)}`, { cache: "no-store" });
      if (!response.ok) throw new Error((await response.json()).error);
      connected(true);
      for await (const one of parts(response.body)) {
        if (one.id) place = one.id;
        if (one.event) hear({ ...JSON.parse(one.data), event: one.event });
      }
    } catch (error) {
      console.info(`redis-tap: ${error.message}`);
    }
    connected(false);
    await new Promise((done) => setTimeout(done, 1000));
  }
}

async function* parts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const found = (text + value).split("\n\n");
    text = found.pop();
    for (const part of found) {
      const lines = part.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]);
      yield Object.fromEntries(lines);
    }
  }
}
