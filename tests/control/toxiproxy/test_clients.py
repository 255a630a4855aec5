"""Toxiproxy's own clients, unmodified: the examples of their documentation, and what their tests do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.control.toxiproxy.proxied import Proxied, Stopwatch, passes, proxied, read
from tests.support import WITHIN

NODE_CLIENT = "toxiproxy-node-client"

# The example of its documentation, and each of its other calls.
NODE = """
const { Toxiproxy } = require("toxiproxy-node-client");
(async () => {
  const toxiproxy = new Toxiproxy(process.env.API);
  const proxy = await toxiproxy.createProxy({ listen: "localhost:0", name: "redis", upstream: "redis:6379" });
  const toxic = await proxy.addToxic({ attributes: { rate: 1000 }, type: "bandwidth" });
  const updated = await toxic.update({ attributes: { rate: 2000 } });
  const version = await toxiproxy.getVersion();
  const down = await proxy.update({ enabled: false, listen: proxy.listen, upstream: proxy.upstream });
  const listed = await toxiproxy.getAll();
  const populated = await toxiproxy.populate([
    { listen: "localhost:0", name: "mysql", upstream: "mysql:3306" },
    { listen: "localhost:0", name: "http", upstream: "web:80", enabled: true },
  ]);
  await toxiproxy.reset();
  const { enabled } = await toxiproxy.get("redis");
  const kept = await proxy.getToxic("bandwidth_downstream").then(() => true, () => false);
  let again = "";
  try {
    await toxiproxy.createProxy({ listen: "localhost:0", name: "redis", upstream: "redis:6379" });
  } catch (error) {
    again = error.message;
  }
  await (await toxiproxy.get("redis")).remove();
  console.log(JSON.stringify({
    version, again, kept, enabled,
    down: down.enabled,
    toxic: updated.toJson(),
    listed: Object.keys(listed),
    populated: Object.keys(populated),
    left: Object.keys(await toxiproxy.getAll()),
  }));
})();
"""


@pytest.fixture
def proxy() -> Iterator[Proxied]:
    with proxied() as (_, one):
        yield one


def test_the_python_client(proxy: Proxied) -> None:
    toxiproxy = pytest.importorskip("toxiproxy", reason="toxiproxy-python is not installed")
    errors = pytest.importorskip("toxiproxy.exceptions")

    server = toxiproxy.Toxiproxy()
    server.update_api_consumer(proxy.api.address.host, proxy.api.address.port)
    assert server.running()
    assert json.loads(server.version()) == {"version": "2.12.0"}
    upstream = f"127.0.0.1:{proxy.address[1]}"
    made = server.create(name="mysql_master", upstream=upstream)
    assert made.enabled
    with pytest.raises(errors.ProxyExists):
        server.create(name="mysql_master", upstream=upstream)
    with pytest.raises(errors.ProxyExists):  # as clients create that do not look first
        toxiproxy.api.APIConsumer.post("/proxies", json={"name": "mysql_master", "upstream": upstream})
    proxy.port = int(made.listen.rpartition(":")[2])
    client, upstream_side = proxy.connect()
    assert passes(client, upstream_side)
    made.add_toxic(type="latency", attributes={"latency": 100})
    watch = Stopwatch()
    upstream_side.sendall(b"x")
    assert read(client, 1) == b"x"
    assert watch.seconds >= 0.1
    toxic = made.get_toxic("latency_downstream")
    assert (toxic.type, toxic.toxicity, toxic.attributes) == ("latency", 1, {"latency": 100, "jitter": 0})
    with pytest.raises(errors.ProxyExists):
        made.add_toxic(type="latency")
    with pytest.raises(errors.InvalidToxic):
        made.add_toxic(type="nonsense")
    with made.down():
        assert not server.get_proxy("mysql_master").enabled
    assert server.get_proxy("mysql_master").listen == made.listen
    assert made.destroy_toxic("latency_downstream")
    with pytest.raises(errors.NotFound):
        made.destroy_toxic("latency_downstream")
    populated = server.populate(
        [{"name": "a", "upstream": "a:1", "listen": "127.0.0.1:0"}, {"name": "b", "upstream": "b:1"}]
    )
    assert [one.name for one in populated] == ["a", "b"]
    assert server.reset()
    server.destroy_all()
    assert server.proxies() == {}


def test_the_node_client(proxy: Proxied) -> None:
    node = shutil.which("node")
    if node is None or not _has_node_client(node):
        pytest.skip(f"node and {NODE_CLIENT} are not installed (NODE_PATH={os.environ.get('NODE_PATH', '')})")
    api = f"http://127.0.0.1:{proxy.api.address.port}"
    run = subprocess.run(
        [node, "-e", NODE], capture_output=True, env={**os.environ, "API": api}, timeout=WITHIN, check=False
    )
    assert (run.returncode, run.stderr) == (0, b"")
    said = json.loads(run.stdout)
    assert "2.12.0" in json.dumps(said["version"])
    assert said["toxic"]["attributes"] == {"rate": 2000}
    assert said["toxic"]["name"] == "bandwidth_downstream"
    assert sorted(said["listed"]) == ["it", "redis"]
    assert (said["down"], said["enabled"], said["kept"]) == (False, True, False)
    assert said["populated"] == ["mysql", "http"]
    assert "409" in said["again"]
    assert sorted(said["left"]) == ["http", "it", "mysql"]


def _has_node_client(node: str) -> bool:
    found = subprocess.run([node, "-e", f"require('{NODE_CLIENT}')"], capture_output=True, timeout=WITHIN, check=False)
    return found.returncode == 0


def test_the_command_line_client(proxy: Proxied) -> None:
    cli = shutil.which("toxiproxy-cli")
    if cli is None:
        pytest.skip("toxiproxy-cli is not on PATH")

    def run(*words: str, status: int = 0) -> str:
        done = subprocess.run([cli, "--host", f"http://127.0.0.1:{proxy.api.address.port}", *words], capture_output=True,
                              timeout=WITHIN, check=False)  # fmt: skip
        assert done.returncode == status, done
        return (done.stdout + done.stderr).decode()

    run("create", "--listen", "localhost:0", "--upstream", f"127.0.0.1:{proxy.address[1]}", "shopify")
    assert "shopify" in run("list")
    assert "now disabled" in run("toggle", "shopify")
    assert "now enabled" in run("toggle", "shopify")
    for stream in ("--upstream", "--downstream"):
        attributes = ("--attribute=latency=80", "--attribute=jitter=5")
        run(
            "toxic",
            "add",
            "--type=latency",
            f"--toxicName=far{stream}",
            *attributes,
            "--toxicity=0.99",
            stream,
            "shopify",
        )
    run("toxic", "update", "--toxicName=far--upstream", "--attribute=jitter=20", "--toxicity=0.7", "shopify")
    said = run("inspect", "shopify")
    assert "latency=80" in said
    assert "jitter=20" in said
    assert "0.70" in said
    run("toxic", "delete", "--toxicName=far--upstream", "shopify")
    assert "toxic not found" in run("toxic", "delete", "--toxicName=far--upstream", "shopify", status=1)
    assert "proxy already exists" in run("create", "-l", "localhost:0", "-u", "x:1", "shopify", status=1)
    run("delete", "shopify")
    assert "proxy not found" in run("inspect", "shopify", status=1)
