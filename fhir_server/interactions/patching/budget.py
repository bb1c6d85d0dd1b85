"""What a patch may cost: number of operations, bytes that it puts in, levels of nesting.

22 ``copy`` operations of one kilobyte can grow to half a gigabyte; each operation is charged before it is carried out.
"""

from __future__ import annotations

from typing import Any

from fhir_server.datatypes.json_format import MAX_DEPTH, encode
from fhir_server.outcome import error

MAX_OPERATIONS = 200
#: A patch may put in so many times the bytes of resource and patch together, and so many bytes more.
GROWTH = 4
GROWTH_BYTES = 1 << 20


class Budget:
    """The bytes that the operations of one patch may still put in; what they remove gives nothing back."""

    def __init__(self, resource_bytes: int, patch_bytes: int) -> None:
        self._left = GROWTH * (resource_bytes + patch_bytes) + GROWTH_BYTES

    def charge(self, value: Any, level: int) -> None:
        """Account for a value that is put in below ``level`` objects and arrays; raise FhirError 400 if too much."""
        check_depth(value, level)
        self._left -= len(encode(value))
        if self._left < 0:
            raise error(
                "too-costly",
                "The patch makes the resource grow beyond all measure: send the whole resource in an update.",
                status=400,
            )


def check_depth(value: Any, level: int) -> None:
    """Raise FhirError 400 if a value below ``level`` objects and arrays is nested too deeply."""
    if level + _depth(value) > MAX_DEPTH:
        raise error(
            "structure",
            f"The patch nests objects and arrays more than {MAX_DEPTH} levels deep.",
            status=400,
        )


def _depth(value: Any) -> int:
    """Return how many levels of objects and arrays a value has, counted no further than the limit."""
    level = [value]
    for depth in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in ((node.values() if isinstance(node, dict) else node) or (None,))
        ]
        if not level:
            return depth
    return MAX_DEPTH + 1


def check_number(operations: int) -> None:
    """Raise FhirError 400 when a patch has too many operations."""
    if operations > MAX_OPERATIONS:
        raise error(
            "too-costly",
            f"The patch has {operations} operations; {MAX_OPERATIONS} are the most. Send several patches or an update.",
            status=400,
        )


def copied(value: Any) -> Any:
    """Return a copy of a JSON value that shares no object or array with it."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value
