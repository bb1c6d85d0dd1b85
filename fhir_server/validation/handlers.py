"""Handlers made of handlers.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.messages import say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run, has_errors
from fhir_server.validation.rules.questionnaire_response import answers
from fhir_server.validation.schema import ElementSchema


def constrained(handler: Handler, own: Handler | None) -> Handler:
    """Return the handler with the invariants of an element, which are asked when its structure is right."""
    if own is None:
        return handler

    def with_own(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = handler(value, parent, run)
        if found is None:
            return own(value, parent, run)
        return found if has_errors(found) else [*found, *(own(value, parent, run) or ())]

    return with_own


def both(first: Handler, second: Handler) -> Handler:
    """Return the handler that asks both."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = first(value, parent, run)
        more = second(value, parent, run)
        if found is None:
            return more
        return found if more is None else found + more

    return handler


def any_of(handlers: tuple[Handler, ...], names: str) -> Handler:
    """Return the handler of a value that must keep one of several profiles."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        first: Findings | None = None
        for check in handlers:
            left = run.left
            found = check(value, parent, run)
            if found is None or not has_errors(found):
                return found
            run.left = left
            first = found if first is None else first
        text = say("The value must conform to one of these profiles, and does to none: {names}.", names=names)
        return [*run.error("structure", text, "type-profile@"), *(first or ())]

    return handler


def prohibited(_value: Any, _parent: dict[str, Any], run: Run) -> Findings | None:
    """Refuse an element that a profile takes away."""
    return run.error("structure", "The element must not be there: leave it out.", "cardinality@")


def with_value(handler: Handler, element: ElementSchema, key: str) -> Handler:
    """Return the handler of a primitive's extensions that also demands its value, where a profile does."""
    if not element.needs_value:
        return handler

    def demanding(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = handler(value, parent, run)
        if key in parent:
            return found
        text = say("{name} must have a value; extensions alone won't do.", name=element.name)
        return [*(found or ()), *run.error("required", text, "cardinality@")]

    return demanding


def unchecked(handler: Handler, profiles: str, severity: str) -> Handler:
    """Return the handler that also says which profiles could not be asked, as severely as the operator chose."""
    if severity == "ignore":
        return handler
    text = say(
        "The profile {names} isn't known here, so it was not checked: load its package.", names=profiles
    )

    def with_notice(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        return [
            *(handler(value, parent, run) or ()),
            *run.finding(severity, "not-found", text, "profile"),
        ] or None

    return with_notice


def with_questionnaire(
    handler: Handler,
    find: Callable[[str], dict[str, Any] | None],
    membership: Callable[[str, str, str], bool | None],
    holds: Callable[[str, Run], bool | None],
) -> Handler:
    """Return the handler of a QuestionnaireResponse that also looks at its Questionnaire, if that is at hand.

    ``holds`` tells whether a FHIRPath on the response is true.
    """

    def with_answers(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = handler(value, parent, run)
        canonical = value.get("questionnaire")
        if type(canonical) is not str or (found is not None and has_errors(found)):
            return found
        questionnaire = run.target(canonical) if canonical[:1] == "#" else find(canonical)
        if questionnaire is None or questionnaire.get("resourceType") != "Questionnaire":
            return found
        more = answers(value, questionnaire, membership, lambda text: holds(text, run), run)
        return [*(found or ()), *(more or ())] or None

    return with_answers


def never(*_: object) -> None:
    """Find nothing: what there is to find is asked elsewhere."""
