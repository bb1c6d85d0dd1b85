"""Tokens become a tree by operator precedence (a Pratt parser): https://hl7.org/fhirpath/N1/#operator-precedence."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from fhir_server.datatypes.quantity import CALENDAR_UNITS, Quantity
from fhir_server.datatypes.temporal import Temporal, parse_date, parse_date_time, parse_time
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.lexer import Token, tokenize
from fhir_server.fhirpath.tree import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Special,
    Tree,
    TypeOperation,
    Unary,
    Variable,
)

#: How strongly each operator binds; all are left-associative.
PRECEDENCE = {
    "implies": 1,
    "or": 2, "xor": 2,
    "and": 3,
    "in": 4, "contains": 4,
    "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<": 6, ">": 6, "<=": 6, ">=": 6,
    "|": 7,
    "is": 8, "as": 8,
    "+": 9, "-": 9, "&": 9,
    "*": 10, "/": 10, "div": 10, "mod": 10,
}  # fmt: skip
_POLARITY = 11
#: Deepest nesting of parentheses, arguments and operators that is read.
MAX_DEPTH = 60
#: Keywords that the grammar also allows as names.
_NAMES_TOO = {"as", "contains", "in", "is"}
#: Behind a dot no operator can stand: there the element of a Narrative needs no backticks (``Patient.text.div``).
_NARRATIVE = "div"
_KEYWORDS = {"and", "or", "xor", "implies", "div", "mod", "true", "false"} | _NAMES_TOO


@lru_cache(maxsize=4096)
def parse(expression: str) -> Tree:
    """Return the tree of an expression.

    Raises FhirPathError (syntax) with the position for anything that the grammar doesn't allow, and for
    nesting deeper
    than MAX_DEPTH.
    """
    return _Parser(tokenize(expression)).whole()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Tree:
        tree = self._expression(0)
        if self._next.kind != "end":
            raise self._unexpected("the end")
        return tree

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _takes(self, symbol: str) -> bool:
        if self._next.kind == "symbol" and self._next.text == symbol:
            self._at += 1
            return True
        return False

    def _require(self, symbol: str) -> None:
        if not self._takes(symbol):
            raise self._unexpected(symbol)

    def _unexpected(self, wanted: str) -> FhirPathError:
        found = self._next.text or "the end"
        return FhirPathError("syntax", f"found {found!r} where {wanted} was expected", self._next.position)

    def _expression(self, floor: int) -> Tree:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FhirPathError("syntax", f"it is nested deeper than {MAX_DEPTH} levels", self._next.position)
        left = self._prefixed()
        while self._next.kind in {"symbol", "name"} and PRECEDENCE.get(self._next.text, 0) > floor:
            left = self._operation(left, self._take())
        self._depth -= 1
        return left

    def _operation(self, left: Tree, token: Token) -> Tree:
        operator = token.text
        if operator in {"is", "as"}:
            return TypeOperation(operator, left, self._type_name(), token.position)
        return Binary(operator, left, self._expression(PRECEDENCE[operator]), token.position)

    def _type_name(self) -> str:
        name = self._identifier()
        return f"{name}.{self._identifier()}" if self._takes(".") else name

    def _prefixed(self) -> Tree:
        token = self._next
        if token.kind == "symbol" and token.text in "+-":
            self._take()
            return Unary(token.text, self._expression(_POLARITY), token.position)
        return self._postfixed()

    def _postfixed(self) -> Tree:
        tree = self._term()
        while True:
            position = self._next.position
            if self._takes("."):
                tree = self._invocation(tree)
            elif self._takes("["):
                tree = Index(tree, self._expression(0), position)
                self._require("]")
            else:
                return tree

    def _invocation(self, source: Tree | None) -> Tree:
        position = self._next.position
        if source is not None and self._next.kind == "special":
            return Special(self._take().text[1:], position)
        quoted = self._next.kind == "quoted"
        is_narrative = source is not None and self._next.kind == "name" and self._next.text == _NARRATIVE
        name = self._take().text if is_narrative else self._identifier()
        if not quoted and self._takes("("):
            return Call(source, name, self._arguments(), position)
        return Member(source, name, position)

    def _arguments(self) -> tuple[Tree, ...]:
        if self._takes(")"):
            return ()
        found = [self._expression(0)]
        while self._takes(","):
            found.append(self._expression(0))
        self._require(")")
        return tuple(found)

    def _identifier(self) -> str:
        token = self._next
        if token.kind == "quoted" or (
            token.kind == "name" and (token.text not in _KEYWORDS or token.text in _NAMES_TOO)
        ):
            return self._take().text
        raise self._unexpected("a name")

    def _term(self) -> Tree:
        token = self._next
        match token.kind:
            case "number":
                return self._number()
            case "string":
                return Literal(self._take().text, token.position)
            case "temporal":
                return Literal(_temporal(self._take()), token.position)
            case "variable":
                return Variable(self._take().text, token.position)
            case "special":
                return Special(self._take().text[1:], token.position)
            case "name" if token.text in {"true", "false"}:
                return Literal(self._take().text == "true", token.position)
            case "name" | "quoted":
                return self._invocation(None)
        if self._takes("("):
            tree = self._expression(0)
            self._require(")")
            return tree
        if self._takes("{"):
            self._require("}")
            return Empty(token.position)
        raise self._unexpected("a value, a name or '('")

    def _number(self) -> Tree:
        token = self._take()
        number = Decimal(token.text) if "." in token.text else int(token.text)
        unit = self._next
        if unit.kind == "string":
            self._take()
            return Literal(Quantity(Decimal(number), unit.text), token.position)
        if unit.kind == "name" and unit.text in CALENDAR_UNITS:
            self._take()
            return Literal(
                Quantity(Decimal(number), CALENDAR_UNITS[unit.text], calendar=True), token.position
            )
        return Literal(number, token.position)


def _temporal(token: Token) -> Temporal:
    text = token.text
    parse = parse_time if text.startswith("T") else parse_date_time if "T" in text else parse_date
    value = parse(text.removeprefix("T"))
    if value is None:
        raise FhirPathError("syntax", f"@{text} is no date on the calendar or no time of day", token.position)
    return value
