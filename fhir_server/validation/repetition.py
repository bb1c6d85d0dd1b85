"""Parts of resources that come again and again: what was found right once is right the next time.

A stream of measures has the same category, code and device in every line. The handler of such a property remembers the
values that it found right, as their JSON text, if nothing but the value decided: a run that notes whether it was asked
for anything (the resource, what it contains, its Bundle) and an empty parent stand in for the real ones. Where
something was found, or more than the value was asked for, the real handler decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.datatypes.json_format import encode
from fhir_server.validation.protocols import CodeSets, Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.cardinality import LONG_LISTS
from fhir_server.validation.schema import ElementSchema

#: Values of one property that are remembered, and all together; then all are forgotten.
_MOST = 4096
_MOST_OF_ALL = 65_536
#: Longer values, and longer lists, hardly come again.
_LONGEST = 1000
_LONGEST_LIST = 8
#: What is decided by the object that holds it, or has an id of its own.
_UNLIKE = frozenset({"contained", "extension", "modifierExtension", "text"})
_NOTHING: dict[str, Any] = {}


class _Asked(Exception):  # noqa: N818 (the witness stops here)
    """More than the value was asked for."""


class _Witness(Run):
    """A run of nothing but one value."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name in _OF_RESOURCE:
            raise _Asked
        return super().__getattribute__(name)

    def target(self, text: str) -> dict[str, Any] | None:
        """Return that a reference leads out of the resource: there is no Bundle where this is asked."""
        if text[:1] == "#":
            raise _Asked
        return None


_OF_RESOURCE = frozenset(
    {"resource", "root", "bundle", "base", "contained", "environment", "element_ids", "steps", "checking",
     "is_conditional", "inner", "contained_types"}
)  # fmt: skip


class Repetitions:
    """What the handlers of one compiler remember; all of it is dropped when terminology has other answers."""

    def __init__(self, code_sets: CodeSets) -> None:
        self._code_sets = code_sets
        self._revision = code_sets.revision
        self._memories: list[set[bytes]] = []
        self._count = 0

    def forget(self) -> None:
        """Drop what is remembered."""
        self._revision = self._code_sets.revision
        self._count = 0
        for memory in self._memories:
            memory.clear()

    def check(self) -> None:
        """Drop what is remembered if terminology may answer otherwise now."""
        if self._revision != self._code_sets.revision:
            self.forget()

    def of(self, element: ElementSchema, build: Callable[[], Handler]) -> Callable[[], Handler]:
        """Return what makes the handler of an element of a resource, which remembers if that can pay."""
        if element.name in _UNLIKE or element.path in LONG_LISTS:
            return build
        return lambda: self._remembering(build())

    def _remembering(self, handler: Handler) -> Handler:
        right: set[bytes] = set()
        self._memories.append(right)
        misses = hits = 0

        def remembering(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            nonlocal hits, misses
            if (
                run.bundle is not None  # references lead to other entries
                or (misses > _MOST and hits < misses)  # these hardly come again
                or (type(value) is list and len(value) > _LONGEST_LIST)
            ):
                return handler(value, parent, run)
            text = encode(value)
            if text in right:
                hits += 1
                return None
            misses += 1
            if len(text) <= _LONGEST and self._is_plain(handler, value):
                if self._count >= _MOST_OF_ALL or len(right) >= _MOST:
                    self.forget()
                self._count += 1
                right.add(text)
                return None
            return handler(value, parent, run)

        return remembering

    def _is_plain(self, handler: Handler, value: Any) -> bool:
        """Tell whether a value is right, whatever the resource around it."""
        before = self._code_sets.revision
        witness = _Witness(_NOTHING)
        try:
            found = handler(value, _NOTHING, witness)
        except _Asked:
            return False
        return found is None and not witness.unevaluated and before == self._code_sets.revision
