"""$validate: would this resource be accepted, and what is wrong with it?

https://hl7.org/fhir/R4/resource-operation-validate.html. Nothing is stored. The answer is 200 with an
OperationOutcome that lists every issue, warnings and information included; an OperationOutcome without errors means
that the resource is valid. 4xx only when the question itself can't be understood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.datatypes.positions import located
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.preconditions import check_preconditions
from fhir_server.interactions.steps.prepare import require_id
from fhir_server.interactions.steps.subsetting import is_subsetted
from fhir_server.messages import say
from fhir_server.operations.parameters import of_body
from fhir_server.outcome import FhirError, Issue, error, operation_outcome
from fhir_server.search import decode_pairs
from fhir_server.store.documents import Stored

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
#: https://hl7.org/fhir/R4/valueset-resource-validation-mode.html
_MODES = ("create", "update", "delete", "profile")
_SHAPING = ("_format", "_pretty")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: ``resource`` is None when there is none; ``mode`` and ``profile`` are "" when not given.

    ``place`` is the FHIRPath of the resource in the body.
    """

    resource: dict[str, Any] | None
    mode: str
    profile: str
    place: str


async def validate(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with all issues; one of severity information when there is nothing to say."""
    question = _question(request, target)
    _check_mode(question, target)
    current = await server.store.read(target.type, target.id, request.access) if target.id else None
    if question.mode == "delete":
        issues = _deletion(request, current, target)
    else:
        if current is not None and current.large:
            current = replace(current, body=await server.store.contents.filled(current))
        issues = _content(server, request, target, question, current)
        told = {issue.expression for issue in request.faults}
        issues = [*request.faults, *(issue for issue in issues if issue.expression not in told)]
        if question.resource is not None:
            issues = [*located(issues, request.sent, question.place)]
    if not issues:
        issues = [Issue("information", "informational", "No issues were found: the resource is valid.")]
    return FhirResponse(200, (("Vary", "Accept-Language"),), (encode(operation_outcome(issues)),))


def _question(request: FhirRequest, target: Target) -> Question:
    given: dict[str, list[Any]] = {}
    for name, value in decode_pairs(request.query):
        if name not in _SHAPING:
            given.setdefault(name, []).append(value)
    resource = None
    place = ""
    if request.body:
        body = decode(request.body)
        inside = of_body(body) if body.get("resourceType") == "Parameters" else {}
        # A bare Parameters resource can be validated too: one that isn't the operation's own input.
        if inside and (target.type != "Parameters" or "resource" in inside):
            for name, values in inside.items():
                given.setdefault(name, []).extend(values)
            place = _place(body)
        elif body.get("resourceType") != "Parameters" or target.type == "Parameters":
            given.setdefault("resource", []).append(body)
    for name, values in given.items():
        if name not in ("resource", "mode", "profile"):
            raise error(
                "not-supported",
                "$validate takes the parameters resource, mode and profile; it has another one.",
            )
        if len(values) > 1:
            raise error("structure", say("$validate takes one {name}; there are several.", name=name))
    for name in ("mode", "profile"):
        if not isinstance(given.get(name, [""])[0], str):
            raise error(
                "structure",
                say(
                    "The parameter {name} must be a {type}.",
                    name=name,
                    type="code" if name == "mode" else "URI",
                ),
            )
    resource = given.get("resource", [None])[0]
    if resource is not None and not isinstance(resource, dict):
        raise error("structure", "The parameter resource must hold a resource.")
    return Question(resource, given.get("mode", [""])[0], given.get("profile", [""])[0], place)


def _place(body: dict[str, Any]) -> str:
    for index, parameter in enumerate(body["parameter"]):
        if parameter.get("name") == "resource":
            return f"Parameters.parameter[{index}].resource"
    return ""


def _check_mode(question: Question, target: Target) -> None:
    mode = question.mode
    if mode and mode not in _MODES:
        raise error("value", "mode is one of create, update, delete and profile.")
    if mode == "profile" and not question.profile:
        raise error("required", "mode=profile needs the parameter profile.")
    if mode in ("update", "delete") and not target.id:
        raise error(
            "value",
            say("mode={mode} is for one resource: call {type}/[id]/$validate.", mode=mode, type=target.type),
        )
    if mode == "create" and target.id:
        raise error(
            "value", say("mode=create is for a new resource: call {type}/$validate.", type=target.type)
        )
    if question.resource is None and mode != "delete" and not target.id:
        raise error(
            "required", "There is nothing to validate: POST a resource, or Parameters with a resource in it."
        )
    if question.resource is None and mode == "update":
        raise error("required", "mode=update needs the resource that would be sent.")


def _deletion(request: FhirRequest, current: Stored | None, target: Target) -> list[Issue]:
    """Return why a deletion would be refused; the content of the question is ignored, as R4 says."""
    if current is None:
        raise error("not-found", say("There is no {type} with this id.", type=target.type))
    try:
        check_preconditions(request.headers, current)
    except FhirError as refused:
        return list(refused.issues)
    done = (
        say("This {type} is deleted already.", type=target.type)
        if current.is_deleted
        else say("This {type} can be deleted.", type=target.type)
    )
    return [Issue("information", "informational", done)]


def _content(
    server: Server, request: FhirRequest, target: Target, question: Question, current: Stored | None
) -> list[Issue]:
    resource = question.resource
    if resource is None:
        if current is None:
            raise error("not-found", say("There is no {type} with this id.", type=target.type))
        if current.is_deleted:
            raise error(
                "deleted", say("This {type} was deleted: there is no content to validate.", type=target.type)
            )
        resource = decode(current.body)
    found = resource.get("resourceType")
    issues: list[Issue] = []
    if (
        isinstance(found, str)
        and found != target.type
        and found in server.definitions.types.resource_type_names
    ):
        issues.append(
            Issue(
                "error",
                "invalid",
                say("The resource must be a {type}, as the address says.", type=target.type),
                found,
            )
        )
    profiles = _profiles(server, question.profile, found)
    issues += server.validator.validate(resource, profiles)
    issues = [*server.validator.corrected(issues, resource, target.type)]
    issues += server.validator.unchecked(resource, profiles)
    if question.mode in ("create", "update"):
        issues += _acceptable(server, request, target, question, current)
    return issues


def _profiles(server: Server, profile: str, found: Any) -> tuple[str, ...]:
    """Return the profiles to validate against besides those that the resource claims.

    Raises FhirError 422 for a profile that isn't known, or that is one of another type.
    """
    if not profile or profile.partition("|")[0] in {
        _STRUCTURE + name for name in (found, "Resource", "DomainResource")
    }:
        return ()
    structure = server.definitions.structure(profile, exact=True)
    if structure is None:
        raise error(
            "not-supported",
            "This server does not know the profile, so it can't validate against it.",
            status=422,
        )
    if structure["type"] != found:
        raise error(
            "invalid",
            say("The profile is one of {type}, not of this resource.", type=structure["type"]),
            status=422,
        )
    return (profile,)


def _acceptable(
    server: Server, request: FhirRequest, target: Target, question: Question, current: Stored | None
) -> list[Issue]:
    """Return why a create or an update with this valid content would be refused all the same."""
    issues: list[Issue] = []
    resource = question.resource or {}
    if is_subsetted(resource):
        issues.append(
            Issue("error", "business-rule", "A resource that is tagged SUBSETTED is a part: it can't be stored.",
                  f"{target.type}.meta.tag")
        )  # fmt: skip
    if question.mode == "create":
        return issues
    try:
        require_id({"resourceType": target.type, **resource}, target.id)
        check_preconditions(request.headers, current)
    except FhirError as refused:
        issues += refused.issues
    if current is None and not server.policy.update_create:
        issues.append(
            Issue(
                "error",
                "not-supported",
                say("There is no {type} with this id, and clients can't choose ids.", type=target.type),
            )
        )
    return issues
