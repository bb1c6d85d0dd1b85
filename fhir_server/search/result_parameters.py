"""Parameters that shape the answer and not the set of matches.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.outcome import error
from fhir_server.search.include import Include
from fhir_server.search.search_parameter import FULL_TEXT, TypeParameters

DEFAULT_COUNT = 50
#: Most rows of a page, whatever the settings allow.
MAXIMUM_COUNT = 10_000

#: In the order in which the self link shows them.
NAMES = (
    "_sort",
    "_count",
    "_total",
    "_totalMethod",
    "_summary",
    "_elements",
    "_contained",
    "_containedType",
    "_format",
    "_pretty",
)

#: Aidbox's spelling of ``_total``, which the client library fhirpy sends to count.
_TOTAL_METHODS = {"count": "accurate", "estimate": "estimate", "none": "none"}

_SUMMARIES = frozenset({"true", "text", "data", "count", "false"})
_CONTAINED = frozenset({"false", "true", "both"})
_CONTAINED_TYPES = frozenset({"container", "contained"})
_TOTALS = frozenset({"none", "estimate", "accurate"})
#: Types of parameters that resources can't be sorted by.
_UNORDERED = frozenset({"composite", "special"})
#: How relevant a match is for the words of a text search: ``_sort=-_score``.
SCORE = "_score"
_ELEMENT = re.compile(r"[A-Za-z][A-Za-z0-9]*")


@dataclass(frozen=True, slots=True)
class SortKey:
    """One rule of ``_sort``: a parameter's name and the direction."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True)
class ResultParameters:
    """How the answer shall look; ``summary`` is "" (none) or one of true, text, data, count."""

    sort: tuple[SortKey, ...] = ()
    count: int = DEFAULT_COUNT
    total: str = "none"
    summary: str = ""
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    #: Whether contained resources are searched ("true": they alone, "both"), and what is shown of a match.
    contained: str = "false"
    contained_type: str = "container"

    @property
    def count_only(self) -> bool:
        """Tell whether only the number of matches is wanted (``_summary=count`` or ``_count=0``)."""
        return self.summary == "count" or self.count == 0


def read(
    given: Mapping[str, list[str]], parameters: TypeParameters, includes: tuple[Include, ...] = ()
) -> ResultParameters:
    """Return the result parameters of a search; raises FhirError 400 for values that can't be read."""
    values = {name: _single(name, texts) for name, texts in given.items()}
    summary = _one_of("_summary", values.get("_summary", "false"), _SUMMARIES)
    elements = tuple(
        dict.fromkeys(part.strip() for part in values.get("_elements", "").split(",") if part.strip())
    )
    for name in elements:
        if not _ELEMENT.fullmatch(name):
            raise error("invalid", f"Parameter '_elements': '{name}' is not the name of a top-level element.")
    if elements and summary not in {"false", "count"}:
        raise error("invalid", "'_elements' and '_summary' can't be used together.")
    if includes and summary == "text":
        raise error("invalid", "'_include' and '_revinclude' can't be used together with '_summary=text'.")
    method = _one_of("_totalMethod", values.get("_totalMethod", "none"), frozenset(_TOTAL_METHODS))
    return ResultParameters(
        _sort(values.get("_sort", ""), parameters),
        _count(values.get("_count", str(DEFAULT_COUNT))),
        _one_of("_total", values.get("_total", _TOTAL_METHODS[method]), _TOTALS),
        "" if summary == "false" else summary,
        elements,
        includes,
        _one_of("_contained", values.get("_contained", "false"), _CONTAINED),
        _one_of("_containedType", values.get("_containedType", "container"), _CONTAINED_TYPES),
    )


def _single(name: str, texts: list[str]) -> str:
    if len(set(texts)) > 1:
        raise error("invalid", f"Parameter '{name}' is given more than once.")
    return texts[0]


def _one_of(name: str, value: str, allowed: frozenset[str]) -> str:
    if value not in allowed:
        raise error(
            "invalid", f"Parameter '{name}' takes one of {', '.join(sorted(allowed))}, not '{value}'."
        )
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise error("invalid", f"Parameter '_count' takes a whole number of at least 0, not '{text}'.")
    return min(int(text), MAXIMUM_COUNT)


def _sort(text: str, parameters: TypeParameters) -> tuple[SortKey, ...]:
    keys: list[SortKey] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name = part.removeprefix("-")
        parameter = parameters.by_name.get(name)
        if name != SCORE and (
            parameter is None or not parameter.searchable or parameter.type in _UNORDERED or name in FULL_TEXT
        ):
            hint = parameters.closest(name)
            raise error(
                "not-supported",
                f"Parameter '_sort': {parameters.resource} can't be sorted by '{name}'."
                + (f" Did you mean '{hint}'?" if hint else f" Known: {', '.join(parameters.names)}."),
            )
        if name not in {key.name for key in keys}:
            keys.append(SortKey(name, part.startswith("-")))
    return tuple(keys)
