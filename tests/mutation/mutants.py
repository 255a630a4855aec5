"""Possible mistakes in a line: every change that this finds in a module's syntax tree is a mutant.

One mutant is one change: an operator, a boundary, a constant, a condition, a statement left out, a value not returned,
two arguments swapped. Left alone is what no test can see or what has to change with its readers: annotations, decorators,
assertions for mypy, protocols, methods that only subclasses define, `__slots__`, branches for type checkers, sentences,
the numbers of limits, and what only runs compiled, which tests compare with the same module uncompiled. Strings change
only where they are a single word, as keys and kinds are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
WORD = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
SWAPPED_IN_VAIN = {"min", "max", "isinstance", "issubclass", "cast", "getattr", "setattr"}
NOT_WALKED = {"annotation", "returns", "decorator_list", "bases", "type_comment"}
NOT_ASSIGNED = {"__all__", "__slots__"}
COMPILED_ONLY = "Compiled only."  # how the docstring of a function ends that nothing calls uncompiled
DECLARING = {"TypeVar", "NewType", "ParamSpec", "declare", "getLogger"}


@dataclass(frozen=True)
class Mutant:
    """lines: first and last line of the statement, or of its condition. in_function: not run by an import."""

    path: str
    number: int  # in its module
    lines: tuple[int, int]
    in_function: bool
    change: str

    def __str__(self) -> str:
        return f"{self.path}:{self.lines[0]}: {self.change}"


@dataclass
class _Site:
    line: int
    lines: tuple[int, int]
    in_function: bool
    change: Callable[[], str]
    apply: Callable[[], None]


@dataclass
class _Place:
    """Where the walk is. around: whether the function here stands in another one, which then runs its defaults."""

    lines: tuple[int, int] = (0, 0)
    in_function: bool = False
    around: bool = False
    in_raise: bool = False
    in_fstring: bool = False


def mutants(root: Path, path: str) -> list[Mutant]:
    """All mutants of the module at this path below root."""
    tree = ast.parse((root / path).read_text())
    return [
        Mutant(path, number, (site.line, max(site.line, site.lines[1])), site.in_function, site.change())
        for number, site in enumerate(_sites(tree))
    ]


def mutated(source: str, number: int) -> ast.Module:
    """The module with that one change."""
    tree = ast.parse(source)
    _sites(tree)[number].apply()
    return ast.fix_missing_locations(tree)


def _sites(tree: ast.Module) -> list[_Site]:
    return list(_walk(tree, _Place()))


def _walk(node: ast.AST, place: _Place) -> Iterator[_Site]:
    for name, value in ast.iter_fields(node):
        if name in NOT_WALKED or (name == "keywords" and isinstance(node, ast.ClassDef)):
            continue
        children = _as_python(value) if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if isinstance(child, ast.AST):
                put = _putter(node, name, index if isinstance(value, list) else None)
                yield from _of_child(node, child, put, place)


def _as_python(statements: list[Any]) -> list[Any]:
    """Those up to `if not cython.compiled: ... return`, behind which only compiled code goes on."""
    for number, one in enumerate(statements):
        match one:
            case ast.If(test=ast.UnaryOp(op=ast.Not(), operand=ast.Attribute(attr="compiled")), body=[*_, ast.Return()]):
                return statements[: number + 1]
    return statements


def _putter(parent: ast.AST, name: str, index: int | None) -> Callable[[ast.AST], None]:
    def put(new: ast.AST) -> None:
        old = getattr(parent, name) if index is None else getattr(parent, name)[index]
        if isinstance(old, (ast.expr, ast.stmt)):
            ast.copy_location(new, old)
        if index is None:
            setattr(parent, name, new)
        else:
            getattr(parent, name)[index] = new

    return put


def _of_child(parent: ast.AST, child: ast.AST, put: Callable[[ast.AST], None], place: _Place) -> Iterator[_Site]:
    if isinstance(child, ast.stmt):
        if _is_left_alone(child) or (not place.in_function and _is_limit(child)):
            if isinstance(child, ast.If):
                for index, other in enumerate(child.orelse):
                    yield from _of_child(child, other, _putter(child, "orelse", index), place)
            return
        place = _entered(child, place)
        yield from _changed_statement(child, put, place)
    elif isinstance(child, ast.expr):
        yield from _changed_expression(parent, child, put, place)
        if isinstance(child, ast.Lambda):
            place = replace(place, in_function=True, around=place.in_function)
        elif isinstance(child, ast.JoinedStr):
            place = replace(place, in_fstring=True)
    elif isinstance(child, ast.arguments):
        place = replace(place, in_function=place.around)
    yield from _walk(child, place)


def _entered(statement: ast.stmt, place: _Place) -> _Place:
    """The place inside it. For a compound statement, the lines of its head."""
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    body = getattr(statement, "body", None)
    if isinstance(body, list):
        last = max(first, body[0].lineno - 1)
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return _Place((first, last), in_function=True, around=place.in_function)
    is_class = isinstance(statement, ast.ClassDef)
    return _Place((first, last), place.in_function and not is_class, place.around, isinstance(statement, ast.Raise))


def _is_left_alone(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Global() | ast.Nonlocal():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef(body=[ast.Expr(value=ast.Constant(value=str(text))), *_]) if text.endswith(COMPILED_ONLY):
            return True
        case ast.ClassDef(bases=[*_, ast.Name(id="Protocol")]) | ast.Raise(exc=ast.Name(id="NotImplementedError")):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="compiled")):
            return True
        case ast.If(test=ast.BoolOp(op=ast.And(), values=[ast.Attribute(attr="compiled"), *_])):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]) if name in NOT_ASSIGNED:
            return True
        case ast.Assign(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))) if name in DECLARING:
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="cython")))):
            return True
    return False


def _is_limit(statement: ast.stmt) -> bool:
    """A named number that limits a size or a wait. No test has to fix its exact value."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.isupper():
            parts = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Name, ast.expr_context)
            numbers = [node for node in ast.walk(value) if isinstance(node, ast.Constant)]
            return all(isinstance(node, parts) for node in ast.walk(value)) and all(map(_is_number, numbers))
    return False


def _changed_statement(node: ast.stmt, put: Callable[[ast.AST], None], place: _Place) -> Iterator[_Site]:
    def site(change: Callable[[], str], new: Callable[[], ast.AST]) -> _Site:
        return _Site(node.lineno, place.lines, place.in_function, change, lambda: put(new()))

    match node:
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            pass  # the function would be another kind of function
        case (
            ast.Expr()
            | ast.AugAssign()
            | ast.Delete()
            | ast.Raise()
            | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
            | ast.AnnAssign(target=ast.Attribute(), value=ast.expr())
        ) if place.in_function:
            yield site(lambda: f"left out: {_shown(node)}", ast.Pass)
        case ast.Return(value=ast.expr() as value) if not _is_none(value) and not _is_false(value):
            yield site(lambda: f"{_shown(node)} -> return None", lambda: ast.Return(ast.Constant(None)))
        case ast.Return(value=None):
            yield site(lambda: "left out: return", ast.Pass)
        case ast.Break():
            yield site(lambda: "break -> continue", ast.Continue)
        case ast.Continue():
            yield site(lambda: "continue -> break", ast.Break)
    if isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
        new_op = OPERATORS[type(node.op)]
        changed = ast.AugAssign(node.target, new_op(), node.value)
        yield site(lambda: f"{_shown(node)} -> {_shown(changed)}", lambda: changed)


def _changed_expression(
    parent: ast.AST, node: ast.expr, put: Callable[[ast.AST], None], place: _Place
) -> Iterator[_Site]:
    def site(new: ast.expr) -> _Site:
        ast.copy_location(new, node)

        def change() -> str:
            return f"{_shown(node)} -> {_shown(new)}"

        return _Site(node.lineno, (node.lineno, node.end_lineno or 0), place.in_function, change, lambda: put(new))

    match node:
        case ast.Compare(ops=[op]):
            for other in COMPARISONS[type(op)]:
                yield site(ast.Compare(node.left, [other()], node.comparators))
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                other = COMPARISONS[type(op)][0]
                yield site(ast.Compare(node.left, [*ops[:index], other(), *ops[index + 1 :]], node.comparators))
        case ast.BinOp(op=op) if not isinstance(node.left, ast.Constant | ast.JoinedStr) or _is_number(node.left):
            yield site(ast.BinOp(node.left, OPERATORS[type(op)](), node.right))
        case ast.BoolOp(op=op, values=values):
            yield site(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
            for index in range(len(values)):
                rest = [*values[:index], *values[index + 1 :]]
                yield site(rest[0] if len(rest) == 1 else ast.BoolOp(op, rest))
        case ast.UnaryOp(op=ast.Not() | ast.USub()) if not isinstance(node.operand, ast.Compare):
            yield site(node.operand)
        case ast.Call(args=[first, second, *others]) if not any(isinstance(arg, ast.Starred) for arg in node.args):
            if ast.dump(first) != ast.dump(second) and not _tells_nothing_swapped(node):
                yield site(ast.Call(node.func, [second, first, *others], node.keywords))
        case ast.Constant(value=value):
            for changed in _other_values(value, place):
                yield site(ast.Constant(changed))
    is_condition = isinstance(parent, (ast.If, ast.While, ast.IfExp)) and parent.test is node
    is_filter = isinstance(parent, ast.comprehension) and node in parent.ifs
    if (is_condition or is_filter) and not isinstance(node, (ast.Compare, ast.Constant)) and not _is_not(node):
        yield site(ast.UnaryOp(ast.Not(), node))


def _other_values(value: object, place: _Place) -> Iterator[bool | float | bytes | str]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield value + 1
    elif isinstance(value, bytes):
        yield value + b"!" if value else b"!"
    elif isinstance(value, str) and not place.in_raise and not place.in_fstring and WORD.fullmatch(value):
        yield value + "!"


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_false(node: ast.expr) -> bool:
    """None says the same; that it becomes True is a mutant, too."""
    return isinstance(node, ast.Constant) and node.value is False


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _tells_nothing_swapped(node: ast.Call) -> bool:
    """Swapping these arguments changes nothing, or always raises."""
    return isinstance(node.func, ast.Name) and node.func.id in SWAPPED_IN_VAIN


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
