""".ci/subjects: a branch's commit subjects, from where it left main, in whole and in shallow clones."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

LONG = "x" * 73
NAME = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


def git(where: Path, *words: str) -> None:
    subprocess.run(["git", *NAME, *words], cwd=where, check=True, capture_output=True)


def commit(where: Path, subject: str) -> None:
    git(where, "commit", "--quiet", "--allow-empty", "--message", subject)


def subjects(where: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run([".ci/subjects", *words], cwd=where, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """On main, with an old long subject, a short one, and the script."""
    path = tmp_path / "repository"
    (path / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "subjects", path / ".ci")
    git(path, "init", "--quiet", "--initial-branch=main")
    commit(path, LONG)
    git(path, "add", ".")
    commit(path, "Short")
    return path


def test_on_main_only_the_newest_commit_counts(repository: Path) -> None:
    assert subjects(repository) == (0, "")
    commit(repository, LONG)
    code, said = subjects(repository)
    assert code == 1
    assert f"73 characters, at most 72: {LONG}" in said


def test_on_a_branch_all_of_its_commits_count(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "branch")
    commit(repository, "ü" * 72)
    assert subjects(repository) == (0, "")
    commit(repository, LONG)
    commit(repository, "Short again")
    assert subjects(repository)[0] == 1


def test_in_a_shallow_clone_the_newest_commit_counts(repository: Path, tmp_path: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "branch")
    commit(repository, LONG)
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=branch", repository.as_uri(), "clone")
    assert subjects(tmp_path / "clone")[0] == 1
    commit(repository, "Short again")
    git(tmp_path / "clone", "fetch", "--quiet", "--depth=1")
    git(tmp_path / "clone", "reset", "--quiet", "--hard", "FETCH_HEAD")
    assert subjects(tmp_path / "clone") == (0, "")


def test_an_uncommitted_message_is_read_from_its_file(repository: Path) -> None:
    (repository / "message").write_text(f"# a comment of git's\nShort\n\n{LONG}\n")
    assert subjects(repository, "message") == (0, "")
    (repository / "message").write_text(f"{LONG}\n")
    assert subjects(repository, "message")[0] == 1
