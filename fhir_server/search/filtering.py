"""``_filter``: one expression with and, or, not and parentheses, over the same parameters as the query itself.

It is compiled to the nodes that the clauses of a query give. A path follows references (``subject.name``), and a filter
in brackets holds for the same resource as what follows it (``subject[active eq true].name``).
https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fhir_server.outcome import error
from fhir_server.search.chain import followed, links
from fhir_server.search.combining import Not, all_of, any_of
from fhir_server.search.expression import Expression
from fhir_server.search.filter_operators import OPERATORS, Comparison, compared, malformed
from fhir_server.search.parameters import Context
from fhir_server.search.search_parameter import TypeParameters

Clause = Callable[[str, str, TypeParameters, Context], Expression | None]
"""Reads one pair: the function that reads the whole query's clauses."""

#: Deepest nesting of parentheses and brackets, and most comparisons.
_DEEPEST = 10
_MOST_COMPARISONS = 50

_OPEN = re.compile(r"\s*\(")
_CLOSE = re.compile(r"\s*\)")
_NOT = re.compile(r"\s*not\s*\(")
_JOIN = re.compile(r"\s*\b(and|or)(?=[\s(])")
_NAME = re.compile(r"\s*([A-Za-z_][\w\-]*(?::[A-Za-z]+)?)")
_OPERATOR = re.compile(r"\s+(\S+)\s+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
#: A word ends at a bracket that it has not opened: units such as [lb_av] are part of it.
_WORD = re.compile(r"(?:[^\s)\[\]]|\[[^\s\[\]]*\])+")


@dataclass(frozen=True, slots=True)
class _Step:
    """One name of a path, and the text of the filter in brackets behind it ("": none)."""

    name: str
    condition: str = ""


def read_filter(text: str, parameters: TypeParameters, context: Context, clause: Clause) -> Expression:
    """Return the expression of a ``_filter``; raises FhirError 400 for what can't be read."""
    return _Reader(text, parameters, context, clause).whole()


@dataclass
class _Reader:
    text: str
    parameters: TypeParameters
    context: Context
    clause: Clause
    depth: int = 0
    position: int = 0
    comparisons: int = 0

    def whole(self) -> Expression:
        """Read all of the text."""
        found = self._logical()
        if rest := self.text[self.position :].strip():
            raise malformed(f"'{rest[:30]}' is left over; join comparisons with 'and' or 'or'")
        return found

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def _rest(self) -> str:
        return self.text[self.position :].strip()[:30]

    def _logical(self) -> Expression:
        """Read comparisons joined by and, or: from left to right, without precedence, as R4 says."""
        if self.depth > _DEEPEST:
            raise error("too-costly", f"Parameter '_filter' is nested more than {_DEEPEST} deep.", status=400)
        found = self._single()
        while join := self._take(_JOIN):
            found = (all_of if join[1] == "and" else any_of)([found, self._single()])
        return found

    def _single(self) -> Expression:
        if self._take(_NOT):
            return Not(self._closed())
        return self._closed() if self._take(_OPEN) else self._followed(*self._comparison())

    def _closed(self) -> Expression:
        self.depth += 1
        found = self._logical()
        self.depth -= 1
        if not self._take(_CLOSE):
            raise malformed(f"a ')' is missing before '{self._rest()}'")
        return found

    def _comparison(self) -> tuple[Sequence[_Step], Comparison]:
        self.comparisons += 1
        if self.comparisons > _MOST_COMPARISONS:
            text = f"Parameter '_filter' has more than {_MOST_COMPARISONS} comparisons."
            raise error("too-costly", text, status=400)
        steps = [self._step()]
        while self.text[self.position : self.position + 1] == ".":
            self.position += 1
            steps.append(self._step())
        operator = self._take(_OPERATOR)
        if operator is None or operator[1] not in OPERATORS:
            found = operator[1] if operator else self._rest()
            raise malformed(
                f"'{found}' is no operator with a value; there are {', '.join(sorted(OPERATORS))}"
            )
        return steps, Comparison("", operator[1], self._value())

    def _step(self) -> _Step:
        name = self._take(_NAME)
        if name is None:
            raise malformed(f"'{self._rest()}' is not the name of a parameter")
        if self.text[self.position : self.position + 1] != "[":
            return _Step(name[1])
        begin = self.position + 1
        self.position = _end_of_bracket(self.text, begin)
        return _Step(name[1], self.text[begin : self.position - 1])

    def _value(self) -> str:
        if string := self._take(_STRING):
            return _unquoted(string[0])
        word = self._take(_WORD)
        if word is None:
            raise malformed(f"it ends where a value should be, or '{self._rest()}' is none")
        return word[0]

    def _followed(self, steps: Sequence[_Step], comparison: Comparison) -> Expression:
        """Return the expression of a comparison at the end of a path."""
        first, *rest = steps
        if not rest:
            if first.condition:
                raise malformed(
                    f"behind '{first.name}[...]' comes a dot and a parameter of what it refers to"
                )
            found = replace(comparison, name=first.name)
            return compared(found, self.parameters, self.context, self.clause)
        label = ".".join(step.name for step in steps)
        links(label)
        name, _, type_ = first.name.partition(":")
        parameter = self.parameters.by_name.get(name)
        if parameter is None or parameter.type != "reference":
            raise malformed(
                f"'{name}' of {self.parameters.resource} is no reference, nothing can follow it; what holds within one "
                "element is a composite parameter"
            )

        def inner(known: TypeParameters) -> Expression:
            place = replace(self, parameters=known, depth=self.depth + 1)
            found = place._followed(rest, comparison)  # noqa: SLF001 (its own class)
            if not first.condition:
                return found
            condition = replace(place, text=first.condition, position=0)
            return all_of([condition.whole(), found])

        return followed(label, parameter, type_, self.context, inner)


def _end_of_bracket(text: str, position: int) -> int:
    """Return the place behind the bracket that closes a filter which begins at a position."""
    depth = 1
    while position < len(text):
        string = _STRING.match(text, position)
        if string:
            position = string.end()
            continue
        depth += {"[": 1, "]": -1}.get(text[position], 0)
        position += 1
        if not depth:
            return position
    raise malformed("a ']' is missing")


def _unquoted(text: str) -> str:
    try:
        found: str = json.loads(text)
    except ValueError:
        raise malformed(f"{text} is no JSON string") from None
    return found
