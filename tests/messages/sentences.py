"""The sentences that the code says, found in its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2] / "fhir_server"
#: What must be translated: all that is said about a resource. These files speak of definitions, to their authors and operators.
SPOKEN = ("messages", "validation", "datatypes", "space", "terminology", "operations/validate.py")
SILENT = (
    "validation/explanation.py",
    "validation/profile_explanation.py",
    "validation/json_schema.py",
    "terminology/importing/",  # to operators, who import code systems
)

_SENTENCE = re.compile(r"[A-Z$][^<]* .*[.?]", re.DOTALL).fullmatch

_ASSERTING = {"error", "warning", "finding", "broken", "Issue", "_error", "_fault", "_issue"}


@dataclass(frozen=True, slots=True)
class Said:
    """A template, where it stands, and whether it is made in a way that can't be translated."""

    template: str
    place: str
    is_formatted: bool = False


def said() -> Iterator[Said]:
    """Yield what ``say`` is called with, and all other constants and f-strings that look like a sentence."""
    for part in SPOKEN:
        for file in sorted((ROOT / part).rglob("*.py") if (ROOT / part).is_dir() else [ROOT / part]):
            name = file.relative_to(ROOT).as_posix()
            if not name.startswith(SILENT):
                yield from _in(ast.parse(file.read_text()), name)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _in(tree: ast.AST, name: str) -> Iterator[Said]:
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts = {
        id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in ast.walk(node)
    } - {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    for node in ast.walk(tree):
        place = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and _name(node.func) == "say":
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Said(first.value, place)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documentation and id(node) not in parts and _SENTENCE(node.value):
                yield Said(node.value, place)
        elif isinstance(node, ast.Call) and _name(node.func) in _ASSERTING:
            for argument in node.args:
                if isinstance(argument, ast.Constant) and " " in str(argument.value):
                    yield Said(str(argument.value), place)
        elif isinstance(node, ast.JoinedStr):
            text = "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
            if _SENTENCE(text):
                yield Said(text, place, is_formatted=True)
