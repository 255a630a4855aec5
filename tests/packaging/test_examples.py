"""The compose file and the Kubernetes example: valid, as safe as they claim, and run between real servers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tap.config import file as config_file
from tap.servers.embedded import free_port
from tests.cli.running import running
from tests.packaging.image import DOCKERFILE
from tests.support import ROOT, Servers, client, level

COMPOSE = ROOT / "packaging" / "container" / "compose.yaml"
SIDECAR = ROOT / "packaging" / "kubernetes" / "sidecar.yaml"
OLDEST_KUBERNETES = "1.29.0"  # the first with native sidecars


def documents(path: Path) -> list[Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return list(yaml.safe_load_all(path.read_text()))


@pytest.fixture
def pod() -> Any:
    (stateful,) = (one for one in documents(SIDECAR) if one["kind"] == "StatefulSet")
    return stateful["spec"]["template"]["spec"]


def command_of_image() -> list[str]:
    """What the image runs when nothing else is said, without the program."""
    (line,) = (line for line in DOCKERFILE.read_text().splitlines() if line.startswith("CMD "))
    command: list[str] = json.loads(line.removeprefix("CMD "))
    return command


def test_the_compose_file_is_valid() -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="compose-spec is not installed")
    compose_spec.PyCompose.from_yaml(COMPOSE.read_text()).validate()
    with pytest.raises(ValueError, match="replicas"):
        compose_spec.PyCompose.from_yaml(COMPOSE.read_text().replace("depends_on", "replicas"))


def test_the_pair_of_the_compose_file_replicates(servers: Servers, any_server: str, tmp_path: Path) -> None:
    """On this machine, with its names, ports and directories in their place."""
    (compose,) = documents(COMPOSE)
    services = compose["services"]
    master, port = servers.start(any_server), free_port()
    here = {"master:6379": str(master.address), "*:6400": f"127.0.0.1:{port}"}
    here |= {"/data": str(tmp_path), "/run/redis-tap": str(tmp_path)}
    verb, *words = services["tap"]["command"]
    for name, place in here.items():
        words = [word.replace(name, place) for word in words]
    assert verb == "run"
    with running(*words):
        host, its_port = services["replica"]["command"][2].split()
        assert (services["replica"]["command"][1], host, its_port) == ("--replicaof", "tap", "6400")
        replica = servers.start(any_server, "replicaof", f"127.0.0.1 {port}")
        client(master).set("key", "value")
        level(master, replica)
        assert (tmp_path / "api.sock").is_socket()
    assert list(tmp_path.glob("recordings*"))


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, "1.37.0"])
def test_the_sidecar_is_valid(version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for document in documents(SIDECAR):
        kubernetes_validate.validate(document, version, strict=True)
    document["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(document, version, strict=True)


def test_the_pod_meets_the_restricted_standard(pod: Any) -> None:
    of_pod = pod["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["initContainers"], *pod["containers"]):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)


def test_the_pod_has_what_the_image_and_its_tap_expect(pod: Any, tmp_path: Path) -> None:
    (tap,) = pod["initContainers"]
    assert tap["restartPolicy"] == "Always"
    assert "command" not in tap
    assert "args" not in tap
    configuration = next(Path(word) for word in command_of_image() if word.endswith(".toml"))
    socket = next(Path(word.removeprefix("unix:")) for word in command_of_image() if word.startswith("unix:"))
    mounted = {one["mountPath"] for one in tap["volumeMounts"]}
    assert {str(configuration.parent), str(socket.parent), "/data"} == mounted

    (of_map,) = (one for one in documents(SIDECAR) if one["kind"] == "ConfigMap")
    path = tmp_path / configuration.name
    path.write_text(of_map["data"][configuration.name])
    (link,) = config_file.load(path).links
    (replica,) = pod["containers"]
    assert f"{link.listen.host} {link.listen.port}" in replica["args"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_health_check_asks_the_api(path: str, nobody: int, tmp_path: Path) -> None:
    socket = tmp_path / "api.sock"
    ask = ["python3", "-I", "-S", str(COMPOSE.with_name("health.py")), path, str(socket)]
    with running("--master", f"127.0.0.1:{nobody}", "--api", f"unix:{socket}") as tap:
        done = subprocess.run(ask, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)
        unknown = subprocess.run([*ask[:-2], "/nowhere", str(socket)], capture_output=True, text=True, check=False)
        assert unknown.returncode == 1
        assert "HTTP/1.1 404" in unknown.stderr
        tap.end()
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"{socket}: [Errno 2] No such file or directory\n"
