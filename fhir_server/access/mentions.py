"""What a resource mentions: the codes and the references that stand anywhere in it, as numbers.

A Consent can be about data with a code, or about data that refer to a resource
(https://hl7.org/fhir/R4/consent.html: provision.code, provision.data with meaning ``dependents``). Both are kept with
each version, so that the decision is part of a query and holds for versions of the history, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

_REFERENCE = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?").fullmatch


@lru_cache(maxsize=65_536)
def number_of(text: str) -> int:
    """Return the 64-bit number that stands for ``system|code`` or ``Type/id``."""
    return int.from_bytes(
        blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True
    )


def mentioned(resource: Mapping[str, Any], base: str = "") -> list[int]:
    """Return the numbers of the codes and references in a resource, contained ones included, sorted.

    Codes have a system; references are relative, or absolute below ``base``, the address of this server.
    """
    found: set[str] = set()
    _walk(resource, base, found)
    return sorted(map(number_of, found))


def references(resource: Mapping[str, Any], base: str = "") -> frozenset[str]:
    """Return what a resource refers to on this server, as ``Type/id``."""
    found: set[str] = set()
    _walk(resource, base, found)
    return frozenset(text for text in found if _REFERENCE(text))


def _walk(node: Mapping[str, Any], base: str, found: set[str]) -> None:
    # An explicit stack: this is in the way of every write.
    waiting: list[Any] = [node]
    while waiting:
        node = waiting.pop()
        for name, value in node.items():
            kind = type(value)
            if kind is dict:
                waiting.append(value)
            elif kind is list:
                waiting.extend(_objects(value))
            elif name == "reference" and kind is str:
                if (local := relative(value, base)) is not None:
                    found.add(local)
            elif name == "code" and kind is str and "value" not in node and type(node.get("system")) is str:
                found.add(f"{node['system']}|{value}")


def _objects(values: list[Any]) -> Iterator[Any]:
    return (value for value in values if type(value) is dict)


def relative(reference: str, base: str = "") -> str | None:
    """Return ``Type/id`` of a reference to this server without its version; None for any other one."""
    if base and reference.startswith(base):
        reference = reference[len(base) :].lstrip("/")
    match = _REFERENCE(reference)
    return None if match is None else match[1]
