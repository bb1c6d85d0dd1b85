"""The nodes of a parsed expression: https://hl7.org/fhirpath/N1/grammar.html.

A node whose ``source`` is None starts at the focus (``$this``). ``position`` is the character offset in the
expression.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fhir_server.datatypes.quantity import Quantity
from fhir_server.datatypes.temporal import Temporal


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the expression."""

    value: bool | int | Decimal | str | Temporal | Quantity
    position: int = -1


@dataclass(frozen=True, slots=True)
class Empty:
    """The empty collection ``{}``."""

    position: int = -1


@dataclass(frozen=True, slots=True)
class Variable:
    """``%name``."""

    name: str
    position: int = -1


@dataclass(frozen=True, slots=True)
class Special:
    """``$this``, ``$index`` or ``$total``; name without the dollar sign."""

    name: str
    position: int = -1


@dataclass(frozen=True, slots=True)
class Member:
    """A step ``source.name``; at the start of a path it may also be the name of a type."""

    source: Tree | None
    name: str
    position: int = -1


@dataclass(frozen=True, slots=True)
class Call:
    """A function call ``source.name(arguments)``."""

    source: Tree | None
    name: str
    arguments: tuple[Tree, ...]
    position: int = -1


@dataclass(frozen=True, slots=True)
class Index:
    """``source[index]``."""

    source: Tree
    index: Tree
    position: int = -1


@dataclass(frozen=True, slots=True)
class Unary:
    """``+operand`` or ``-operand``."""

    operator: str
    operand: Tree
    position: int = -1


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``."""

    operator: str
    left: Tree
    right: Tree
    position: int = -1


@dataclass(frozen=True, slots=True)
class TypeOperation:
    """``operand is type`` or ``operand as type``; the type may be qualified (``System.String``)."""

    operator: str
    operand: Tree
    type_name: str
    position: int = -1


Tree = Literal | Empty | Variable | Special | Member | Call | Index | Unary | Binary | TypeOperation


def type_specifier(tree: Tree) -> str | None:
    """Return the type that an argument names (``Patient``, ``FHIR.Patient``), or None."""
    if isinstance(tree, Member):
        if tree.source is None:
            return tree.name
        if isinstance(tree.source, Member) and tree.source.source is None:
            return f"{tree.source.name}.{tree.name}"
    return None
