"""The changes that mutation testing makes, and whether it notices which of them a test catches."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.mutants import mutants, mutated
from tests.mutation.trial import changed_functions


def changes(folder: Path, source: str) -> list[str]:
    (folder / "one.py").write_text(source)
    return [mutant.change for mutant in mutants(folder, "one.py")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("x = 0 < a <= b", ["0 < a <= b -> 0 <= a <= b", "0 < a <= b -> 0 < a < b", "0 -> 1"]),
        ("x = a + b", ["a + b -> a - b"]),
        ("x = a and b", ["a and b -> a or b", "a and b -> b", "a and b -> a"]),
        ("if a: x = None", ["a -> not a"]),
        ("x = [a for a in b if a]", ["a -> not a"]),
        ("x = b'ab', 'word', 'two words', True", ["b'ab' -> b'ab!'", "'word' -> 'word!'", "True -> False"]),
        ("x = f(a, b)", ["f(a, b) -> f(b, a)"]),
        ("x = max(a, b)", []),
        ("def f():\n    self.x = a", ["left out: self.x = a"]),
        ("def f():\n    x += a", ["left out: x += a", "x += a -> x -= a"]),
        ("def f():\n    g()", ["left out: g()"]),
        ("def f():\n    return a", ["return a -> return None"]),
        ("def f():\n    return False", ["False -> True"]),
        ("def f():\n    raise Bad('word')", ["left out: raise Bad('word')"]),
        ("for a in b: break", ["break -> continue"]),
        ("def f(a: 'word' = None) -> 'word':\n    'words'\n    assert a > 1", []),
        ("if TYPE_CHECKING:\n    x = 1\nelse:\n    y = 2", ["2 -> 3"]),
        ("if cython.compiled and a < b:\n    x = 1", []),
        (
            "def f():\n    if not cython.compiled:\n        return 1\n    x = 2",
            ["not cython.compiled -> cython.compiled", "return 1 -> return None", "1 -> 2"],
        ),
        ("def f(x):\n    'Compiled only.'\n    return x + 1", []),
        ("__slots__ = ('word',)", []),
        ("def f():\n    raise NotImplementedError", []),
        ("class A(Sized, Protocol):\n    def f(self, a=1): ...", []),
        ("MAX_SIZE = 2 * 1024", []),
        ("WORDS = 'word'", ["'word' -> 'word!'"]),
        ("x = f'word {a + b}'", ["a + b -> a - b"]),
    ],
)
def test_a_line_has_its_changes(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert changes(tmp_path, source) == expected


def test_lines_run_by_an_import_are_distinguished_from_lines_run_by_a_call(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "a = 1\nclass B:\n  x = 2\n  def f(self, y=3):\n    def g(z=4): return 5\n    return lambda a=6: 7\n"
    )
    found = {
        mutant.change: mutant.in_function for mutant in mutants(tmp_path, "one.py") if " -> return" not in mutant.change
    }
    assert found == {f"{n} -> {n + 1}": n > 3 for n in range(1, 8)}


def test_each_change_is_one_and_can_be_compiled() -> None:
    root = Path(__file__).parents[2]
    path = "tap/faults/work.py"
    source = (root / path).read_text()
    plain = ast.unparse(ast.parse(source))
    seen = {plain}
    some = mutants(root, path)[::6]
    for mutant in some:
        tree = mutated(source, mutant.number)
        compile(tree, path, "exec")
        seen.add(ast.unparse(tree))
    assert len(seen) == 1 + len(some) > 30


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("def f(): return 1", "def f(): return 2", ["f"]),
        ("class A:\n def f(self): return 1", "class A:\n def f(self): return 2", ["A.f"]),
        ("def f():\n def g(): return 1\n return g", "def f():\n def g(): return 2\n return g", ["f", "f.<locals>.g"]),
        ("x = lambda: 1", "x = lambda: 2", ["<lambda>"]),
        ("def f(a=1): return a", "def f(a=2): return a", None),
        ("class A:\n x = 1", "class A:\n x = 2", None),
        ("x = 1", "x = 2", None),
    ],
)
def test_existing_functions_can_be_changed(old: str, new: str, names: list[str] | None) -> None:
    changed = changed_functions(compile(old, "one.py", "exec"), compile(new, "one.py", "exec"))
    assert (None if changed is None else sorted(before.co_qualname for before, _ in changed)) == names


ENDINGS = """
import os, signal

MOST = {"most": 1}["most"]

def ends(now): os._exit(0) if now else None
def crashes(now): os.abort() if now else None
def fills(now): bytes(1 << 40) if now else None
def ends_who_asked(now): os.kill(os.getppid(), signal.SIGKILL) if now else None
def is_quiet(now): None if now else None
"""
TESTS = "import pytest, endings\n" + "".join(
    f"def test_{name}(): endings.{name}(False)\n" for name in ("ends", "crashes", "fills", "ends_who_asked", "is_quiet")
)
TRYING = """
from pathlib import Path
from tests.mutation.mutants import mutants
from tests.mutation.trial import Trials

all_of_them = mutants(Path(), "endings.py")
spoiling = next(mutant for mutant in all_of_them if mutant.change == "'most' -> 'most!'")
turned = [mutant for mutant in all_of_them if mutant.change == "now -> not now"]
names = [f"test_endings.py::test_{name}" for name in ("ends", "crashes", "fills", "ends_who_asked", "is_quiet")]
trials = Trials(["test_endings.py"], dict.fromkeys(names, 0.1))
print(trials.survives(spoiling, names))
print([trials.survives(mutant, [name]) for mutant, name in zip(turned, names, strict=True)])
trials.close()
"""


def test_a_change_that_ends_a_process_is_noticed_and_the_next_is_tried(tmp_path: Path) -> None:
    (tmp_path / "endings.py").write_text(ENDINGS)
    (tmp_path / "test_endings.py").write_text(TESTS)
    trying = subprocess.run(
        [sys.executable, "-c", TRYING],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (trying.stdout, trying.stderr) == ("False\n[False, False, False, False, True]\n", "")
