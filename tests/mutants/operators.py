"""The deliberate breaks: each changes one place of a Python file as a slip of the hand would.

Left alone are sentences for people, annotations and docstrings; a number that has a constant of its own, which is a
choice that a test would only repeat; and arguments that nothing observable depends on.
"""

import ast
import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr, ast.MatMult: ast.Mult,
}  # fmt: skip
# What a caller notices of them is a name in a debugger, the error of another break, or words to read.
_UNSEEN_ARGUMENTS = {
    *("strict", "encoding", "flush", "stacklevel", "thread_name_prefix"),
    *("description", "examples", "help", "summary"),
}
_ANNOTATIONS = {"annotation", "returns", "type_comment", "decorator_list", "bases"}


@dataclass(frozen=True)
class Mutant:
    """One break: the file, the line where its statement begins, what changes there, and its number in the file.

    `lines` are those of the statement's head, or for a constant those that use it: a test that runs none of them can't
    notice the break.
    """

    path: str
    lines: tuple[int, ...]
    change: str
    number: int


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Every break of this file, in the order of its lines."""
    tree = ast.parse(source)
    for number, (statement, change) in enumerate(_breaks(tree)):
        yield Mutant(path, _lines(statement, tree), change, number)


def mutated(mutant: Mutant, source: str) -> str:
    """The whole file's text with this break in it."""
    tree = ast.parse(source)
    # While a break is given, it is in the tree.
    next(itertools.islice(_breaks(tree), mutant.number, None))
    return ast.unparse(ast.fix_missing_locations(tree))


def _breaks(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """(statement, what changes in it) of every break."""
    for statement, field, index, node in _places(tree):
        before = _head(statement)
        for other in _others(node):
            _put(field, index, other)
            # A statement that was taken out leaves `pass`.
            after = (
                "pass" if isinstance(other, ast.Pass) else _head(other if node is statement else statement)
            )
            if after != before:
                yield statement, f"{before} → {after}"
            _put(field, index, node)


def _places(tree: ast.Module) -> Iterator[tuple[ast.stmt, tuple[Any, str], int | None, ast.AST]]:
    """(statement, the field that holds a node, its index there, the node): all that may be changed."""

    def walk(parent: ast.AST, statement: ast.stmt | None) -> Iterator[Any]:
        for name, value in ast.iter_fields(parent):
            if name in _ANNOTATIONS or (isinstance(parent, ast.AnnAssign) and name == "target"):
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(node, ast.AST) or _is_for_the_reader(node):
                    continue
                if isinstance(node, ast.keyword) and node.arg in _UNSEEN_ARGUMENTS:
                    continue
                within = node if isinstance(node, ast.stmt) else statement
                if within is not None:
                    yield within, (parent, name), index, node
                yield from walk(node, within)

    yield from walk(tree, None)


def _is_for_the_reader(node: ast.AST) -> bool:
    """Docstrings, imports, and what only a type checker runs."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Tuple):
        return all(name.id.isupper() for name in _names(node)) and _is_a_number(node.value)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id in ("TypeVar", "NewType")
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return True
    return isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr)


def _others(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    if isinstance(node, ast.stmt):
        yield from _other_statements(node)
    elif isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.BinOp):
        yield from _other_operators(node)
    elif isinstance(node, ast.Constant):
        yield from _other_values(node.value)
    elif isinstance(node, ast.IfExp):
        yield from _both_ways(node)
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield _with(node, ifs=[])
    elif isinstance(node, ast.Call):
        # Numbers are read from bytes the highest first, unless something else is said.
        if len(node.args) > 1 and not (
            isinstance(last := node.args[-1], ast.Constant) and last.value == "big"
        ):
            yield _with(node, args=node.args[:-1])
        for one in node.keywords:
            if one.arg not in _UNSEEN_ARGUMENTS:
                yield _with(node, keywords=[keyword for keyword in node.keywords if keyword is not one])


def _other_statements(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case (
            ast.Expr(ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break()
        ):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.If():
            yield from _both_ways(node)


def _both_ways(node: ast.AST) -> Iterator[ast.AST]:
    yield from (_with(node, test=ast.Constant(value)) for value in (True, False))


def _other_operators(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                yield _with(node, ops=[*ops[:i], _COMPARE[type(op)](), *ops[i + 1 :]])
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(op=op):
            yield _with(node, op=_ARITHMETIC[type(op)]())


def _other_values(value: object) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
    elif isinstance(value, float):
        yield ast.Constant(value * 1.5 + 0.1)
    elif isinstance(value, str) and value and not _is_a_sentence(value):
        yield ast.Constant(value + "~")
    elif isinstance(value, bytes) and value and not _is_a_sentence(value):
        yield ast.Constant(value + b"~")


def _is_a_sentence(value: str | bytes) -> bool:
    return " " in value if isinstance(value, str) else b" " in value


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _put(field: tuple[Any, str], index: int | None, node: ast.AST) -> None:
    parent, name = field
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def _head(statement: Any) -> str:
    """The statement in one line, without the block below it."""
    if isinstance(body := getattr(statement, "body", None), list):
        statement = copy.copy(statement)
        fields = {"body": [ast.Pass()], "orelse": [], "handlers": [], "finalbody": [], "decorator_list": []}
        for name in fields.keys() & statement._fields:
            setattr(statement, name, fields[name])
        if isinstance(statement, ast.Try):
            return "try:"
        if isinstance(statement, ast.Match):
            return f"match {ast.unparse(statement.subject)}:"
        assert body
    text = ast.unparse(ast.fix_missing_locations(statement))
    return " ".join(text.split()).removesuffix(" pass")


def _lines(statement: ast.stmt, tree: ast.Module) -> tuple[int, ...]:
    if statement in tree.body and isinstance(statement, ast.Assign | ast.AnnAssign):
        wanted = {name.id for name in _names(statement)}
        used = {n.lineno for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in wanted}
        return (statement.lineno, *sorted(used - {statement.lineno}))
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        # A default counts where the function runs.
        return tuple(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    body = getattr(statement, "body", None)
    end = (
        body[0].lineno - 1 if isinstance(body, list) and body else (statement.end_lineno or statement.lineno)
    )
    return tuple(range(statement.lineno, max(end, statement.lineno) + 1))


def _names(statement: ast.Assign | ast.AnnAssign) -> list[ast.Name]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _is_a_number(value: ast.expr) -> bool:
    numbers = value.elts if isinstance(value, ast.Tuple) else [value]
    return all(isinstance(n, ast.Constant) and type(n.value) in (int, float) for n in numbers)
