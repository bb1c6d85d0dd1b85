"""The assertions of a script: https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.setup.action.assert.

Each kind is a function of the assertion, the message that it is about, and the judge's surroundings; it returns "" when
the assertion holds, else a sentence that says what was found instead. A new kind is a function and a row of ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fhir_server.outcome import FhirError
from fhir_server.testscript.message import Message, ScriptError
from fhir_server.testscript.minimum import missing_part
from fhir_server.testscript.operations import FORMATS
from fhir_server.testscript.operators import judge
from fhir_server.testscript.paths import select
from fhir_server.testscript.scope import Scope
from fhir_server.validation import Validator

#: Statuses by the codes of https://hl7.org/fhir/R4/valueset-assert-response-code-types.html.
RESPONSES = {
    "okay": "200", "created": "201", "noContent": "204", "notModified": "304", "bad": "400", "forbidden": "403",
    "notFound": "404", "methodNotAllowed": "405", "conflict": "409", "gone": "410", "preconditionFailed": "412",
    "unprocessable": "422",
}  # fmt: skip
_LINKS = ("first", "last", "next")

Assertion = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The scope of the script, and what profiles are checked with; ``profiles`` are canonical URLs by id."""

    scope: Scope
    validator: Validator
    profiles: Mapping[str, str]


def failure(assertion: Assertion, around: Surroundings) -> str:
    """Return "" when an assertion holds, else why it doesn't; raises ScriptError when it can't be judged."""
    kinds = [name for name in KINDS if name in assertion]
    if not kinds:
        kinds = [n for n in ("compareToSourceExpression", "compareToSourcePath") if n in assertion]
    if not kinds:
        raise ScriptError("The assertion asserts nothing that this engine knows.")
    message = _subject(assertion, around.scope)
    if "compareToSourceId" in assertion:
        return _compared(assertion, message, around)
    return KINDS[kinds[0]](assertion, message, around)


def _subject(assertion: Assertion, scope: Scope) -> Message:
    """Return the message that an assertion is about: that of its sourceId, else the latest of its direction."""
    if "sourceId" in assertion:
        return scope.message(assertion["sourceId"])
    is_request = (
        assertion.get("direction") == "request" or "requestURL" in assertion or "requestMethod" in assertion
    )
    message = scope.request if is_request else scope.response
    if message is None:
        raise ScriptError(
            f"There is no {'request' if is_request else 'response'} yet that could be looked at."
        )
    return message


def _judged(
    assertion: Assertion, subject: str, found: list[str], expected: str, default: str = "equals"
) -> str:
    operator = assertion.get("operator", default)
    if operator == "eval":
        raise ScriptError("The operator eval goes with an expression.")
    return judge(subject, operator, found, expected)


def _value(assertion: Assertion, around: Surroundings) -> str | None:
    return around.scope.fill(assertion["value"]) if "value" in assertion else None


def _valued(assertion: Assertion, subject: str, found: list[str], around: Surroundings) -> str:
    """Judge what was found against the value; without value and operator it must be there."""
    expected = _value(assertion, around)
    if assertion.get("operator") == "eval":
        raise ScriptError("The operator eval goes with an expression.")
    if expected is None and assertion.get("operator", "notEmpty") not in {"empty", "notEmpty"}:
        raise ScriptError(f"The operator {assertion['operator']} needs a value.")
    return _judged(assertion, subject, found, expected or "", "notEmpty" if expected is None else "equals")


def _expression(assertion: Assertion, message: Message, around: Surroundings) -> str:
    text = around.scope.fill(assertion["expression"])
    has_value = "value" in assertion or assertion.get("operator") in {"empty", "notEmpty"}
    if assertion.get("operator") != "eval" and has_value:
        return _valued(assertion, f"The expression {text}", around.scope.texts(text, message), around)
    if assertion.get("operator", "eval") != "eval":
        raise ScriptError(f"The operator {assertion['operator']} needs a value.")
    found = around.scope.evaluate(text, message)
    if found == [True] or (len(found) == 1 and not isinstance(found[0], bool)):
        return ""  # one item that is no boolean counts as true, as everywhere in FHIRPath
    expected = _value(assertion, around)
    if found == [False] and expected == "false":
        return ""
    if not message.has_resource():
        return f"The expression {text} can't be true: the body is no resource."
    return judge(f"The expression {text}", "equals", around.scope.texts(text, message), "true")


def _path(assertion: Assertion, message: Message, around: Surroundings) -> str:
    """Judge what a path selects; where one value is wanted that is its first one, as XPath makes text of nodes."""
    text = around.scope.fill(assertion["path"])
    found = select(text, message)
    single = assertion.get("operator", "equals") in {"equals", "greaterThan", "lessThan"}
    return _valued(assertion, f"The path {text}", found[:1] if single else found, around)


def _compared(assertion: Assertion, message: Message, around: Surroundings) -> str:
    """Compare what the message has with what another one has."""
    scope = around.scope
    other = scope.message(assertion["compareToSourceId"])
    if "compareToSourceExpression" in assertion:
        theirs = scope.fill(assertion["compareToSourceExpression"])
        expected = scope.texts(theirs, other)
    else:
        theirs = scope.fill(assertion["compareToSourcePath"])
        expected = select(theirs, other)
    if "path" in assertion:
        ours = scope.fill(assertion["path"])
        found = select(ours, message)
    elif "expression" in assertion:
        ours = scope.fill(assertion["expression"])
        found = scope.texts(ours, message)
    else:
        ours = theirs
        found = (
            scope.texts(ours, message) if "compareToSourceExpression" in assertion else select(ours, message)
        )
    operator = assertion.get("operator", "equals")
    subject = f"{ours}, compared with {theirs} of {assertion['compareToSourceId']},"
    if operator in {"equals", "notEquals"} and len(expected) != 1:
        return (
            ""
            if (found == expected) == (operator == "equals")
            else judge(subject, operator, [", ".join(found)], ", ".join(expected))
        )
    wanted = ",".join(expected) if operator in {"in", "notIn"} else "".join(expected[:1])
    return _judged(assertion, subject, found, wanted)


def _response(assertion: Assertion, message: Message, _: Surroundings) -> str:
    return _judged(assertion, "The status", [str(message.status)], RESPONSES[assertion["response"]])


def _response_code(assertion: Assertion, message: Message, around: Surroundings) -> str:
    return _judged(
        assertion, "The status", [str(message.status)], around.scope.fill(assertion["responseCode"])
    )


def _header(assertion: Assertion, message: Message, around: Surroundings) -> str:
    name = assertion["headerField"]
    found = message.headers.get(name.lower())
    return _valued(assertion, f"The header {name}", [] if found is None else [found], around)


def _content_type(assertion: Assertion, message: Message, around: Surroundings) -> str:
    """Compare media types; parameters count only if the assertion names some."""
    wanted = around.scope.fill(assertion["contentType"])
    wanted = FORMATS.get(wanted, wanted).replace(" ", "").lower()
    found = message.headers.get("content-type", "").replace(" ", "").lower()
    if ";" not in wanted:
        found = found.partition(";")[0]
    return _judged(assertion, "The content type", [found] if found else [], wanted)


def _resource(assertion: Assertion, message: Message, _: Surroundings) -> str:
    found = [str(message.resource["resourceType"])] if message.has_resource() else []
    return _judged(assertion, "The type of the resource", found, assertion["resource"])


def _request_method(assertion: Assertion, message: Message, _: Surroundings) -> str:
    return _judged(
        assertion, "The request's method", [message.method.lower()], assertion["requestMethod"].lower()
    )


def _request_url(assertion: Assertion, message: Message, around: Surroundings) -> str:
    return _judged(assertion, "The request's URL", [message.url], around.scope.fill(assertion["requestURL"]))


def _minimum(assertion: Assertion, message: Message, around: Surroundings) -> str:
    minimum = around.scope.filled(around.scope.message(assertion["minimumId"]).resource)
    if not message.has_resource():
        return "The body is no resource, so it holds nothing of the minimum."
    lacks = missing_part(minimum, message.resource)
    return (
        f"{lacks} of the minimum {assertion['minimumId']} is not there, or has another value."
        if lacks
        else ""
    )


def _links(assertion: Assertion, message: Message, _: Surroundings) -> str:
    """A Bundle's links first, last and next, each an absolute URL."""
    if not assertion["navigationLinks"]:
        return ""
    resource = message.resource if message.has_resource() else {}
    links = {link.get("relation"): link.get("url", "") for link in resource.get("link", [])}
    bad = [name for name in _LINKS if urlsplit(links.get(name, "")).scheme not in {"http", "https"}]
    return f"The Bundle has no usable link {', '.join(bad)}." if bad else ""


def _profile(assertion: Assertion, message: Message, around: Surroundings) -> str:
    name = assertion["validateProfileId"]
    if name not in around.profiles:
        raise ScriptError(f'The profile "{name}" could not be had, so nothing can be checked against it.')
    url = around.profiles[name]
    try:
        resource = message.resource
    except FhirError as refused:
        return f"The body is no resource: {refused.issues[0].diagnostics}"
    issues = around.validator.validate(
        resource,
        ()
        if "/fhir/StructureDefinition/" in url and url.endswith(f"/{resource.get('resourceType')}")
        else (url,),
    )
    grave = [i for i in issues if i.severity in {"error", "fatal"}]
    return "; ".join(f"{i.expression}: {i.diagnostics}" for i in grave[:5])


#: The kinds of assertions by the element that makes them one.
KINDS: dict[str, Callable[[Assertion, Message, Surroundings], str]] = {
    "response": _response,
    "responseCode": _response_code,
    "headerField": _header,
    "contentType": _content_type,
    "resource": _resource,
    "requestMethod": _request_method,
    "requestURL": _request_url,
    "minimumId": _minimum,
    "navigationLinks": _links,
    "validateProfileId": _profile,
    "expression": _expression,
    "path": _path,
}
