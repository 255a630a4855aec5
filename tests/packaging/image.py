"""The container image, built without a daemon and without a registry: by buildah, on a stand-in for its base images.

The stand-in is empty. What the instructions run comes from this machine's /usr, mounted while they run, so it shows
that they run, as which user, and what they leave in the image; not that the base images have what they need.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

DOCKERFILE = ROOT / "packaging" / "container" / "Dockerfile"
BASES = ("python:3.13", "python:3.13-slim")
USER = 65532
SYSTEM = ("/usr", "/etc/ssl", "/etc/pip.conf", "/etc/alternatives")
DIRECTORIES = ("dev", "etc", "opt", "proc", "run", "sys", "tmp", "usr", "var")


class Builder:
    """buildah with images and containers of its own, in a directory. data: the volume of its containers."""

    def __init__(self, directory: Path) -> None:
        if os.geteuid() != 0 or shutil.which("buildah") is None:
            pytest.skip("building an image needs root and buildah")
        if subprocess.run(
            ["/usr/bin/python3", "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"], check=False
        ).returncode:
            pytest.skip("the stand-in for the base image needs /usr/bin/python3, 3.11 or newer, with venv")
        self._directory = directory
        self._buildah = ["buildah", f"--root={directory}/store", f"--runroot={directory}/run", "--storage-driver=vfs"]
        self.data = directory / "data"
        self.data.mkdir()
        os.chown(self.data, USER, USER)
        for base in BASES:
            self._make_base(base)

    def run(self, *words: str) -> str:
        """buildah with these words; returns what it printed."""
        done = subprocess.run(
            [*self._buildah, *words], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, f"buildah {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def build(self, context: Path) -> dict[str, Any]:
        """Build the image `redis-tap`. Returns its configuration."""
        self.run(
            "bud",
            *self._outside(),
            "--isolation=chroot",
            "--format=docker",
            "--pull-never",
            "--file",
            str(DOCKERFILE),
            "--tag=redis-tap",
            str(context),
        )
        config: dict[str, Any] = json.loads(self.run("inspect", "--type=image", "redis-tap"))["Docker"]["config"]
        return config

    def container(self) -> str:
        """The name of a new container of the image."""
        return self.run("from", "--pull-never", "redis-tap").strip()

    def command(self, container: str, *words: str) -> list[str]:
        """What runs these words in a container, as the image's user, with the directory `data` as its volume."""
        isolated = ("--isolation=chroot", f"--volume={self.data}:/data")
        return [*self._buildah, "run", *self._outside(), *isolated, container, "--", *words]

    def root(self, container: str) -> Path:
        """Where the files of a container are."""
        return Path(self.run("mount", container).strip())

    def _outside(self) -> list[str]:
        return [f"--volume={path}:{path}:ro" for path in SYSTEM if Path(path).exists()]

    def _make_base(self, name: str) -> None:
        base = self._directory / "base"
        if not base.exists():
            for directory in DIRECTORIES:
                (base / directory).mkdir(parents=True)
            (base / "tmp").chmod(0o1777)
            for directory in ("bin", "lib", "lib64", "sbin"):
                if Path("/", directory).exists():
                    (base / directory).symlink_to(f"usr/{directory}")
            (self._directory / "Basefile").write_text("FROM scratch\nCOPY base/ /\n")
        self.run(
            "bud",
            "--isolation=chroot",
            "--file",
            str(self._directory / "Basefile"),
            "--tag",
            f"localhost/{name}",
            str(self._directory),
        )
