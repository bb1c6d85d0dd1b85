"""JSON Patch (RFC 6902) on decoded JSON that keeps the text of its numbers.

https://hl7.org/fhir/R4/http.html#patch, https://www.rfc-editor.org/rfc/rfc6902
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.interactions.patching.budget import Budget, check_depth, check_number, copied
from fhir_server.interactions.patching.json_pointer import Pointer, child, index, parse
from fhir_server.outcome import FhirError, error

#: The members that an operation must have besides op and path; all others are ignored, as RFC 6902 says.
_MEMBERS = {
    "add": "value",
    "remove": None,
    "replace": "value",
    "move": "from",
    "copy": "from",
    "test": "value",
}
#: The token of the place behind the last element of an array.
_END = "-"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; ``source`` is its ``from``, () where it has none, and ``where`` names it to the sender."""

    op: str
    path: Pointer
    source: Pointer
    value: Any
    where: str


def read_operations(patch: list[Any]) -> tuple[Operation, ...]:
    """Return the operations of a patch document; raise FhirError 400 when one is malformed."""
    check_number(len(patch))
    return tuple(_operation(row, f"Operation {number}") for number, row in enumerate(patch, 1))


def _operation(row: Any, where: str) -> Operation:
    if not isinstance(row, dict):
        raise error("structure", f"{where} of the JSON Patch is not an object.")
    op = row.get("op")
    if not isinstance(op, str) or op not in _MEMBERS:
        raise error("value", f'{where}: "op" is one of {", ".join(_MEMBERS)}.')
    where = f"{where} ({op})"
    needed = _MEMBERS[op]
    for name in ("path", needed):
        if name is not None and name not in row:
            raise error("required", f'{where} has no "{name}".')
    pointers = []
    for name in ("path", "from"):
        text = row.get(name, "") if name in ("path", needed) else ""
        if not isinstance(text, str):
            raise error("structure", f'{where}: "{name}" is a JSON Pointer, a string.')
        pointers.append(parse(text, f'{where}, "{name}"'))
    path, source = pointers
    if op == "move" and len(source) < len(path) and path[: len(source)] == source:
        raise error("value", f"{where}: a value can't be moved into itself.")
    return Operation(op, path, source, row.get("value"), where)


def apply(document: Any, operations: tuple[Operation, ...], budget: Budget) -> Any:
    """Return the document after all operations; it is changed in place.

    Raises FhirError 422 when an operation does not fit the document, 400 when the patch is beyond its budget. Objects
    and arrays of FHIR are never empty: those that became so by removing their last member are gone in the result.
    """
    run = _Run(document, budget)
    for operation in operations:
        run.carry_out(operation)
    return run.result()


class _Run:
    def __init__(self, document: Any, budget: Budget) -> None:
        self._holder: list[Any] = [document]  # the whole document is the member of something, too
        self._budget = budget
        self._lessened: dict[int, Any] = {}

    def carry_out(self, operation: Operation) -> None:
        if operation.op == "add":
            self._budget.charge(operation.value, len(operation.path))
            self._add(operation, copied(operation.value))
        elif operation.op == "remove":
            self._remove(operation, operation.path)
        elif operation.op == "replace":
            self._replace(operation)
        elif operation.op == "move":
            value = self._find(operation, operation.source)
            if operation.source != operation.path:
                check_depth(value, len(operation.path))
                self._remove(operation, operation.source)
                self._add(operation, value)
        elif operation.op == "copy":
            value = self._find(operation, operation.source)
            self._budget.charge(value, len(operation.path))
            self._add(operation, copied(value))
        elif not equal(self._find(operation, operation.path), operation.value):
            raise error("processing", f"{operation.where}: the value is another one; nothing was changed.")

    def _find(self, operation: Operation, pointer: Pointer) -> Any:
        value = self._holder[0]
        for token in pointer:
            found, value = child(value, token)
            if not found:
                raise _missing(operation)
        return value

    def _place(self, operation: Operation, pointer: Pointer) -> tuple[Any, str]:
        """Return what holds the place that a pointer names, and the last token."""
        return (self._find(operation, pointer[:-1]), pointer[-1]) if pointer else (self._holder, "0")

    def _add(self, operation: Operation, value: Any) -> None:
        holder, token = self._place(operation, operation.path)
        if holder is self._holder:
            self._holder[0] = value
        elif isinstance(holder, dict):
            holder[token] = value
        elif isinstance(holder, list):
            position = len(holder) if token == _END else index(token, len(holder) + 1)
            if position is None:
                raise _missing(operation)
            holder.insert(position, value)
        else:
            raise _missing(operation)

    def _remove(self, operation: Operation, pointer: Pointer) -> None:
        holder, token = self._place(operation, pointer)
        if not child(holder, token)[0]:
            raise _missing(operation)
        if holder is self._holder:
            holder[0] = None
        elif isinstance(holder, dict):
            del holder[token]
        else:
            del holder[int(token)]
        self._lessened[id(holder)] = holder

    def _replace(self, operation: Operation) -> None:
        holder, token = self._place(operation, operation.path)
        if not child(holder, token)[0]:
            raise _missing(operation)
        self._budget.charge(operation.value, len(operation.path))
        holder[token if isinstance(holder, dict) else int(token)] = copied(operation.value)

    def result(self) -> Any:
        if any(not holder for holder in self._lessened.values()):
            self._prune(self._holder[0])
        return self._holder[0]

    def _prune(self, value: Any) -> None:
        """Take out what is empty because its members were removed, from the inside outwards."""
        members = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        gone = []
        for key, item in members:
            if isinstance(item, (dict, list)):
                self._prune(item)
                if not item and id(item) in self._lessened:
                    gone.append(key)
        for key in reversed(gone):
            del value[key]
            self._lessened[id(value)] = value


def _missing(operation: Operation) -> FhirError:
    return error("processing", f"{operation.where}: there is no such place in the resource.")


def equal(left: Any, right: Any) -> bool:
    """Tell whether two JSON values are the same: numbers by value, objects without regard to order (RFC 6902, 4.6)."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal)):
        return left == right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(item, right[key]) for key, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return type(left) is type(right) and bool(left == right)
