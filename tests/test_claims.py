"""Other distributions with the import name `tap`: the command and the package report them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

OTHERS = [
    ("typed_argument_parser-1.12.0.dist-info", "typed-argument-parser 1.12.0"),
    ("tap_py-3.2.1.dist-info", "tap.py 3.2.1"),
    ("tap.py-3.0.dist-info", "tap.py 3.0"),
    ("tap.py-2.6.2-py3.11.egg-info", "tap.py 2.6.2"),
]
COMMAND = "import redis_tap; redis_tap.main()"


class Site:
    """A directory of packages with redis-tap in it, whose command says "it runs"."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "tap" / "cli").mkdir(parents=True)
        (path / "tap" / "cli" / "__init__.py").write_text("def main():\n    print('it runs')\n")
        (path / "tap" / "console").mkdir()
        (path / "tap" / "console" / "stderr.py").write_text("def take_over():\n    pass\n")
        for name in ("redis_tap.py", "tap/__init__.py", "tap/__main__.py", "tap/claims.py"):
            shutil.copy(ROOT / name, path / name)
        (path / "redis_tap-0.1.0.dist-info").mkdir()

    def install(self, directory: str, *, last: bool) -> None:
        """Install another distribution. last: its files overwrite ours."""
        (self.path / directory).mkdir()
        if last:
            (self.path / "tap" / "__init__.py").write_text("from tap.no_such_module import Tap\n")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(self.path)}
        command = [sys.executable, "-S", "-P", *arguments]  # -S: without the redis-tap that these tests run with
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site-packages")


def refuses(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("redis-tap: ")
    assert done.stderr.count("\n") == 1
    for one in words:
        assert one in done.stderr


def test_alone_it_runs(site: Site) -> None:
    for arguments in (["-c", COMMAND], ["-m", "tap"]):
        done = site.run(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, "it runs\n", "")
    assert site.run("-c", "import tap; print(tap.__file__)").stdout.startswith(str(site.path))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("directory", "name"), OTHERS)
def test_the_command_names_the_other_distribution_and_the_remedy(
    site: Site, directory: str, name: str, last: bool
) -> None:
    site.install(directory, last=last)
    words = (name, str(site.path), "pipx install", "uv tool install", "python3 -m venv")
    refuses(site.run("-c", COMMAND), *words)


@pytest.mark.parametrize(("directory", "name"), OTHERS)
def test_the_package_names_the_other_distribution(site: Site, directory: str, name: str) -> None:
    site.install(directory, last=False)
    refuses(site.run("-m", "tap"), name)
    done = site.run("-c", "import tap")
    assert done.returncode == 1
    assert f"ImportError: {name} is the package `tap`, too" in done.stderr


def test_the_module_notices_that_its_package_belongs_to_another_distribution(site: Site) -> None:
    site.install(OTHERS[0][0], last=True)
    (site.path / "tap" / "__init__.py").write_text("")
    refuses(site.run("-m", "tap"), OTHERS[0][1])


def test_an_unknown_distribution_is_found_by_its_list_of_files(site: Site) -> None:
    site.install("new_tap-7.dist-info", last=True)
    directory = site.path / "new_tap-7.dist-info"
    (directory / "METADATA").write_text("Metadata-Version: 2.1\nName: new-tap\nVersion: 7\n")
    (directory / "RECORD").write_text("tap/__init__.py,,\nnew_tap-7.dist-info/METADATA,,\n")
    own = site.path / "redis_tap-0.1.0.dist-info"
    (own / "METADATA").write_text("Metadata-Version: 2.1\nName: redis-tap\nVersion: 0.1.0\n")
    (own / "RECORD").write_text("tap/__init__.py,,\n")
    refuses(site.run("-c", COMMAND), "new-tap 7 is the package `tap`, too")


def test_an_uninstalled_distribution_that_took_our_files_along_is_reported(site: Site) -> None:
    (site.path / "tap" / "__init__.py").unlink()
    refuses(site.run("-c", COMMAND), f"{site.path / 'tap'} is not the package of redis-tap", "--force-reinstall")


def test_a_package_that_comes_first_on_the_path_is_reported(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tap.py").write_text("")
    done = site.run("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {COMMAND}")
    refuses(done, f"{tmp_path / 'tap.py'} is not the package of redis-tap")


def test_a_package_that_has_lost_more_says_so_too(site: Site) -> None:
    shutil.rmtree(site.path / "tap")
    refuses(site.run("-c", COMMAND), "lacks files of redis-tap")
