"""FHIRPath Patch: a Parameters resource whose operations name elements by FHIRPath.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from fhir_server.definitions import ElementInfo, TypeInfo, TypeModel
from fhir_server.fhirpath import Env, Expression, FhirPathError, Node, compile_expression, parse
from fhir_server.fhirpath.tree import Member
from fhir_server.interactions.patching.budget import Budget
from fhir_server.interactions.patching.elements import Content, Elements, Home, identity
from fhir_server.interactions.patching.fhirpath_operations import Operation, read_operations
from fhir_server.interactions.patching.values import Slot, content, slot
from fhir_server.outcome import FhirError, error

#: Steps that the paths of all operations of a patch may take together: a quarter of a second, about.
STEPS = 300_000

__all__ = ["Operation", "apply", "read_operations"]
_LAST_STEP = re.compile(r"(?:(?P<owner>.*)\.)?\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`]*`)\s*", re.DOTALL)


def apply(
    resource: dict[str, Any],
    operations: tuple[Operation, ...],
    budget: Budget,
    types: TypeModel,
    clock: Callable[[], datetime],
) -> dict[str, Any]:
    """Return the resource after all operations; it is changed in place.

    Raises FhirError 422 when an operation does not fit the resource, 400 when a path is malformed or the patch is
    beyond its budget.
    """
    run = _Run(resource, budget, types, clock)
    for operation in operations:
        run.carry_out(operation)
    return run.elements.finished()


class _Run:
    def __init__(
        self, resource: dict[str, Any], budget: Budget, types: TypeModel, clock: Callable[[], datetime]
    ) -> None:
        self.elements = Elements(resource)
        self._resource = resource
        self._budget = budget
        self._types = types
        self._env = Env(
            resource=resource,
            root_resource=resource,
            resolver=_Contained(resource),
            clock=clock,
            steps=STEPS,
        )

    def carry_out(self, operation: Operation) -> None:
        match operation.type:
            case "add":
                self._add(operation)
            case "insert":
                self._insert(operation)
            case "delete":
                self._delete(operation)
            case "replace":
                self._replace(operation)
            case "move":
                self._move(operation)

    def _add(self, operation: Operation) -> None:
        owner, info = self._owner(operation, operation.path)
        place = slot(info, operation.name)
        if place is None:
            raise _refused(operation, f"name is no element of {info.name}")
        key, made = content(operation.value, place, self._types, operation.where)
        self._charge(owner, place.element, made)
        if place.element.is_list:
            self.elements.insert(owner, key, self.elements.length(owner, key), made)
            return
        if any(name in owner for name in place.element.json_keys()) or any(
            owner.get("_" + name) for name in place.element.json_keys()
        ):
            raise _refused(operation, f"{place.element.name} is there already; use replace")
        self.elements.set(owner, key, made)

    def _insert(self, operation: Operation) -> None:
        owner, place = self._list(operation)
        index = operation.numbers["index"]
        if index > self.elements.length(owner, place.element.name):
            raise _refused(operation, "index is beyond the end of the list")
        key, made = content(operation.value, place, self._types, operation.where)
        self._charge(owner, place.element, made)
        self.elements.insert(owner, key, index, made)

    def _delete(self, operation: Operation) -> None:
        found = self._found(operation, operation.path)
        if found:
            self.elements.remove(self._single(operation, found)[1])

    def _replace(self, operation: Operation) -> None:
        found = self._found(operation, operation.path)
        if not found:
            raise _refused(operation, "path names no element of this resource; use add")
        _, home = self._single(operation, found)
        place = self._slot_of(home)
        key, made = content(operation.value, place, self._types, operation.where)
        self._charge(home.owner, place.element, made)
        self.elements.replace(home, key, made)

    def _move(self, operation: Operation) -> None:
        owner, place = self._list(operation)
        key = place.element.name
        length = self.elements.length(owner, key)
        source, destination = operation.numbers["source"], operation.numbers["destination"]
        if source >= length or destination >= length:
            raise _refused(operation, "source or destination is beyond the end of the list")
        self.elements.move(owner, key, source, destination)

    def _charge(self, owner: dict[str, Any], element: ElementInfo, made: Content) -> None:
        level = self.elements.level(owner) + element.is_list
        self._budget.charge(made.value, level)
        if made.sibling is not None:
            self._budget.charge(made.sibling, level)

    def _found(self, operation: Operation, path: str) -> list[Node]:
        """Return the elements that a path names; raise FhirError unless they are parts of this resource."""
        try:
            expression = _compiled(path, str(self._resource["resourceType"]), _Hashable(self._types))
            items, self._env.steps = expression.counted(self._resource, self._env)
        except FhirPathError as problem:
            status = 422 if problem.phase in ("execution", "budget") else 400
            raise error(
                problem.issues[0].code,
                f"{operation.where}: {problem.issues[0].diagnostics}",
                status=status,
            ) from None
        for item in items:
            if not isinstance(item, Node) or (
                identity(item) is not self._resource and self.elements.home(item) is None
            ):
                raise _refused(operation, "path must name elements of the resource, not computed values")
        return items

    def _owner(self, operation: Operation, path: str) -> tuple[dict[str, Any], TypeInfo]:
        """Return the object that gets or holds a member, and its type."""
        found = self._found(operation, path)
        if len(found) != 1:
            raise _refused(operation, f"path must name one element, it names {len(found) or 'none'}")
        info = self._types.type(found[0].type) or self._types.type("Element")
        assert info is not None
        owner: dict[str, Any] = identity(found[0])
        return owner, info

    def _list(self, operation: Operation) -> tuple[dict[str, Any], Slot]:
        """Return what holds the list that a path names, which may have no elements yet."""
        try:
            tree = parse(operation.path)
        except FhirPathError as problem:
            raise error("invalid", f"{operation.where}: {problem.issues[0].diagnostics}") from None
        steps = _LAST_STEP.fullmatch(operation.path)
        if not isinstance(tree, Member) or steps is None:
            raise _refused(operation, "path must end with the name of a list")
        self._found(operation, operation.path)
        owner, info = self._owner(operation, steps["owner"] or str(self._resource["resourceType"]))
        place = slot(info, steps["name"].strip("`"))
        if place is None or not place.element.is_list:
            raise _refused(operation, "path must end with the name of a list")
        return owner, place

    def _single(self, operation: Operation, found: list[Node]) -> tuple[Node, Home]:
        if len(found) > 1:
            raise _refused(operation, f"path must name one element, it names {len(found)}")
        home = self.elements.home(found[0])
        if home is None:
            raise _refused(operation, "path names the resource itself, not an element of it")
        return found[0], home

    def _slot_of(self, home: Home) -> Slot:
        """Return the element that stands at a home, found by the type of what holds it."""
        known = self._type_of(home.owner).json_elements.get(home.key)
        assert known is not None
        return Slot(known[0])

    def _type_of(self, owner: dict[str, Any]) -> TypeInfo:
        home = self.elements.home_of(owner)
        if "resourceType" in owner or home is None:
            info = self._types.type(owner["resourceType"])
        else:
            known = self._type_of(home.owner).json_elements.get(home.key)
            info = None if known is None else self._types.type(known[1])
        info = info or self._types.type("Element")
        assert info is not None
        return info


class _Contained:
    """Resolves references to contained resources, the only ones that a path may follow."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self._resource = resource

    def resolve(self, reference: str, env: Any) -> dict[str, Any] | None:  # noqa: ARG002 (the hook's signature)
        if not reference.startswith("#"):
            return None
        contained = self._resource.get("contained", ())
        return next((item for item in contained if item.get("id") == reference[1:]), None)


class _Hashable:
    """The type model as part of a cache key: by identity."""

    def __init__(self, types: TypeModel) -> None:
        self.types = types

    def __hash__(self) -> int:
        return id(self.types)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable) and other.types is self.types


@lru_cache(maxsize=512)
def _compiled(path: str, type_name: str, types: _Hashable) -> Expression:
    return compile_expression(path, types.types, type_name, checked=True)


def _refused(operation: Operation, reason: str) -> FhirError:
    return error("processing", f"{operation.where}: {reason}.")
