"""References: their text, the types that they may point to, and contained targets.

https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fhir_server.datatypes.references import parse
from fhir_server.messages import alternatives, say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run, has_errors

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_relative = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?").fullmatch


class References:
    """The rules of references; knows the names of the resource types."""

    def __init__(self, resource_types: frozenset[str]) -> None:
        self._types = resource_types

    def text(self, reference: dict[str, Any], run: Run) -> Findings | None:
        """Check ``Reference.reference`` and ``Reference.type`` of a structurally valid Reference."""
        text = reference.get("reference")
        if text is None:
            return None
        short = _relative(text)
        type_ = short[1] if short is not None else ""
        if type_ not in self._types:
            found = self._unusual(text, type_, run)
            if found is not None:
                return found
        if "type" in reference:
            return self._same_type(reference, run)
        return None

    def _unusual(self, text: str, type_: str, run: Run) -> Findings | None:
        """Check a reference that isn't ``Type/id``."""
        target = None if type_ else parse(text)
        if target is None or (target.kind == "relative" and target.type not in self._types):
            return run.error(
                "value",
                "The reference must be Type/id with a resource type of R4, an absolute URL,"
                " a urn:uuid: or urn:oid:, or #id of a contained resource.",
                "reference@",
                ".reference",
            )
        if target.kind == "conditional" and not (run.is_conditional and target.type in self._types):
            return run.error(
                "value",
                "A reference by search is only allowed in a transaction: give Type/id instead.",
                "reference@",
                ".reference",
            )
        if target.kind == "contained" and target.id and target.id not in run.contained_types():
            return run.error(
                "invariant",
                "The reference points to a contained resource that isn't there: add it, with this id.",
                "ref-1",
                ".reference",
            )
        return None

    def _same_type(self, reference: dict[str, Any], run: Run) -> Findings | None:
        named = reference["type"].removeprefix(_STRUCTURE)
        actual = self._type_of(reference["reference"], run)
        if actual and named in self._types and named != actual:
            return run.error(
                "value",
                say(
                    "Reference.type says {named}, but the reference points to {actual}.",
                    named=named,
                    actual=actual,
                ),
                "reference@",
                ".type",
            )
        return None

    def _type_of(self, text: str, run: Run) -> str:
        """Return the resource type that the reference's text tells, or "" if it tells none."""
        target = parse(text)
        if target is None:
            return ""
        type_ = run.contained_types().get(target.id, "") if target.kind == "contained" else target.type
        return type_ if type_ in self._types else ""

    def limited(self, inner: Handler, targets: tuple[str, ...]) -> Handler:
        """Return the handler of a Reference that may only point to some types."""
        allowed = frozenset(targets)

        def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            found = inner(value, parent, run)
            if found is not None and has_errors(found):
                return found
            text = value.get("reference")
            if text is None:
                type_ = value.get("type", "").removeprefix(_STRUCTURE)
                type_ = type_ if type_ in self._types else ""
            elif text.partition("/")[0] in allowed:
                return found
            else:
                type_ = self._type_of(text, run)
            if not type_ or type_ in allowed:
                return found
            problem = say(
                "The reference must point to {targets}, not to {type}.",
                targets=alternatives(targets),
                type=type_,
            )
            return [*(found or ()), *run.error("structure", problem, "reference@")]

        return handler

    def conforming(
        self,
        inner: Handler,
        targets: tuple[str, ...],
        resolved: Callable[[Any, Run], dict[str, Any] | None],
        conforms: Callable[[Any, str, Run], bool],
    ) -> Handler:
        """Return the handler of a Reference whose target, if it is at hand, must conform to one of the targets."""

        def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            found = inner(value, parent, run)
            if found is not None and has_errors(found):
                return found
            target = resolved(value, run)
            if target is None or any(conforms(target, t, run) for t in targets):
                return found
            text = say(
                "The target of the reference must conform to {targets}.", targets=alternatives(targets)
            )
            return [*(found or ()), *run.error("structure", text, "target-profile@")]

        return handler

    @staticmethod
    def placed(inner: Handler, aggregation: tuple[str, ...], versioning: str) -> Handler:
        """Return the handler of a Reference with rules on where its target is, and on its version."""

        def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            found = inner(value, parent, run)
            text = value.get("reference") if type(value) is dict else None
            if type(text) is not str or (found is not None and has_errors(found)):
                return found
            if aggregation:
                where = "contained" if text[:1] == "#" else "referenced"
                if where == "referenced" and run.bundle is not None and run.target(text) is not None:
                    where = "bundled"
                is_allowed = where in aggregation or (where == "bundled" and "referenced" in aggregation)
                if where == "referenced" and "bundled" in aggregation and run.bundle is None:
                    is_allowed = True
                if not is_allowed:
                    problem = say(
                        "The target must be {places}, but is {place}.",
                        places=alternatives(map(say, aggregation)),
                        place=say(where),
                    )
                    found = [*(found or ()), *run.error("structure", problem, "aggregation@")]
            has_version = "/_history/" in text
            if versioning == "specific" and not has_version and text[:1] != "#":
                problem = "The reference must name a version: Type/id/_history/version."
                found = [*(found or ()), *run.error("structure", problem, "versioning@")]
            elif versioning == "independent" and has_version:
                problem = "The reference must not name a version: leave out /_history/ and what follows."
                found = [*(found or ()), *run.error("structure", problem, "versioning@")]
            return found

        return handler
