"""String manipulation: https://hl7.org/fhirpath/N1/#string-manipulation.

Regular expressions run in linear time (RE2); the dot matches line ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

from fhir_server.fhirpath.evaluation.items import Items, class_of, system
from fhir_server.fhirpath.evaluation.run import Run, fail, single
from fhir_server.fhirpath.functions.subsetting import integer
from fhir_server.fhirpath.functions.tables import Table
from fhir_server.fhirpath.operators.math import bounded

_GROUP = re.compile(r"\\(.)|\$(?:(\d)|\{(\w+)\})", re.DOTALL)


def text(items: Items, what: str) -> str | None:
    """Return a collection as string, None for empty; raises FhirPathError for anything else."""
    item = single(items, what)
    if item is None:
        return None
    value = system(item)
    if value is None and class_of(item).name[:1].islower():  # a primitive that has only extensions
        return None
    if not isinstance(value, str):
        raise fail(f"{what} takes a String and got {class_of(item).name}")
    return value


@lru_cache(maxsize=512)
def regex(pattern: str) -> Any:
    """Return a compiled regular expression; raises FhirPathError when RE2 doesn't take it."""
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error as cause:
        raise fail(f"{pattern!r} is no regular expression that can be used: {cause}") from cause


def _function(name: str, apply: Callable[..., Any]) -> Callable[..., Items]:
    """Return the collection form of a function on strings: empty as soon as the source or an argument is."""

    def call(_run: Run, source: Items, *arguments: Items) -> Items:
        values = [text(items, f"{name}()") for items in (source, *arguments)]
        if None in values:
            return []
        result = apply(*values)
        return result if isinstance(result, list) else [result]

    return call


def _index_of(value: str, part: str) -> int:
    return value.find(part)


def _last_index_of(value: str, part: str) -> int:
    return value.rfind(part)


def _substring(_run: Run, source: Items, start: Items, length: Items | None = None) -> Items:
    value, first = text(source, "substring()"), integer(start, "substring()")
    if value is None or first is None or not 0 <= first < len(value):
        return []
    count = integer(length, "substring()") if length else None
    return [value[first:] if count is None else value[first : first + max(count, 0)]]


def _matches(value: str, pattern: str) -> bool:
    return regex(pattern).search(value) is not None


def _matches_full(value: str, pattern: str) -> bool:
    return regex(pattern).fullmatch(value) is not None


def _replace(value: str, pattern: str, substitution: str) -> str:
    if len(value) * max(len(substitution), 1) > 2**24:
        raise fail("replace() would build a string of several megabytes")
    return bounded(value.replace(pattern, substitution))


def _replace_matches(value: str, pattern: str, substitution: str) -> str:
    if not pattern:
        return value
    if len(value) * max(len(substitution), 1) > 2**24:
        raise fail("replaceMatches() would build a string of several megabytes")

    def group(match: re.Match[str]) -> str:
        if match.group(1):
            return "\\\\" if match.group(1) == "\\" else match.group(1)
        return f"\\g<{match.group(2) or match.group(3)}>"

    try:
        return bounded(regex(pattern).sub(_GROUP.sub(group, substitution), value))
    except (re2.error, re.error, IndexError, KeyError) as cause:
        raise fail(f"{substitution!r} names a group that {pattern!r} doesn't have") from cause


def _split(value: str, separator: str) -> Items:
    return list(value.split(separator)) if separator else list(value)


def _join(_run: Run, source: Items, separator: Items | None = None) -> Items:
    between = text(separator, "join()") if separator else ""
    parts = [text([item], "join()") or "" for item in source]
    return [bounded((between or "").join(parts))] if source else []


_STRINGS: dict[str, tuple[Callable[..., Any], int]] = {
    "indexOf": (_index_of, 1),
    "lastIndexOf": (_last_index_of, 1),
    "startsWith": (str.startswith, 1),
    "endsWith": (str.endswith, 1),
    "contains": (str.__contains__, 1),
    "upper": (str.upper, 0),
    "lower": (str.lower, 0),
    "replace": (_replace, 2),
    "matches": (_matches, 1),
    "matchesFull": (_matches_full, 1),
    "replaceMatches": (_replace_matches, 2),
    "length": (len, 0),
    "toChars": (list, 0),
    "trim": (str.strip, 0),
    "split": (_split, 1),
}
VALUES: Table = {
    **{name: (_function(name, apply), arity) for name, (apply, arity) in _STRINGS.items()},
    "substring": (_substring, (1, 2)),
    "join": (_join, (0, 1)),
}
