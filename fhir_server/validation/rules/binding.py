"""Bindings: the code must (required), or should (extensible), come from the value set.

https://hl7.org/fhir/R4/terminologies.html#strength
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.messages import say
from fhir_server.validation.protocols import CodeSet, Handler
from fhir_server.validation.report import Findings, Run, has_errors
from fhir_server.validation.rules.primitive import Scalar, scalar

#: A value set of at most so many codes is named code by code.
_LISTED = 25


def _allowed(code_set: CodeSet, url: str) -> str:
    if 0 < len(code_set.codes) <= _LISTED:
        return say("one of: {codes}", codes=", ".join(sorted(code_set.codes)), url=url)
    return say("from the value set {url}", url=url)


def bound_code(type_code: str, code_set: CodeSet, url: str) -> Scalar:
    """Return the test of a bare code (or string, or uri) that must be in the value set."""
    plain = scalar(type_code)
    codes = code_set.codes

    def problem(value: Any) -> tuple[str, str, str]:
        if not plain.accepts(value):
            return plain.problem(value)
        return "code-invalid", say("The code must be {allowed}.", allowed=_allowed(code_set, url)), "binding@"

    if codes:
        return Scalar(lambda value: type(value) is str and value in codes, problem)
    return Scalar(lambda value: plain.accepts(value) and code_set.has_code(value), problem)


def bound_coding(inner: Handler, code_set: CodeSet, url: str) -> Handler:
    """Return the handler of a Coding or Quantity whose system and code must be in the value set."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = inner(value, parent, run)
        if (found is None or not has_errors(found)) and not _is_member(value, code_set):
            text = say("System and code must be {allowed}.", allowed=_allowed(code_set, url))
            return [*(found or ()), *run.error("code-invalid", text, "binding@")]
        return found

    return handler


def bound_concept(inner: Handler, code_set: CodeSet, url: str) -> Handler:
    """Return the handler of a CodeableConcept of which one coding must be in the value set.

    A concept that has nothing but extensions (a data-absent-reason) is left alone.
    """

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = inner(value, parent, run)
        if found is not None and has_errors(found):
            return found
        codings = value.get("coding", ())
        if any(_is_member(coding, code_set) for coding in codings) or not (codings or "text" in value):
            return found
        text = say("One coding (system and code) must be {allowed}.", allowed=_allowed(code_set, url))
        return [*(found or ()), *run.error("code-invalid", text, "binding@")]

    return handler


#: Tells whether a code of a system ("": of any) is in a value set; None when it can't be known here.
Membership = Callable[[str, str], bool | None]


def weighed(inner: Handler, type_code: str, url: str, strength: str, is_member: Membership) -> Handler:
    """Return the handler of a coded value with a binding that no plain list of codes decides.

    ``strength`` is required, extensible or max (the value set of the maxValueSet extension).
    """

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = inner(value, parent, run)
        if found is not None and has_errors(found):
            return found
        verdict = membership(value, type_code, is_member)
        if verdict is True or (verdict is None and strength != "required"):
            return found
        if verdict is None:
            text = say(
                "Whether the code is in the required value set {url} isn't known here: load its code systems.",
                url=url,
            )
            problem = run.warning("code-invalid", text, "binding-unknown@")
        elif strength == "extensible":
            if type_code == "CodeableConcept" and not value.get("coding"):
                return found
            text = say(
                "The code isn't in the extensible value set {url}: use one of its codes if any fits.", url=url
            )
            problem = run.warning("code-invalid", text, "binding-extensible@")
        else:
            text = say("The code (with its system) must be from the value set {url}.", url=url)
            # Records in the field hold languages and the like that the maximum value set doesn't: they are stored.
            problem = (
                run.judged("code-invalid", text, "binding-max@")
                if strength == "max"
                else run.error("code-invalid", text, "binding@")
            )
        return [*(found or ()), *problem]

    return handler


def membership(value: Any, type_code: str, is_member: Membership) -> bool | None:
    """Return whether a code, Coding, Quantity or CodeableConcept is a member; None when it isn't known."""
    if type(value) is str:
        return is_member("", value)
    if type(value) is not dict:
        return None
    if type_code != "CodeableConcept":
        return _member(value, is_member)
    codings = value.get("coding", ())
    if not codings:
        return "text" not in value
    verdicts = [_member(c, is_member) for c in codings]
    return True if True in verdicts else (None if None in verdicts else False)


def _member(coding: dict[str, Any], is_member: Membership) -> bool | None:
    code = coding.get("code")
    if code is None:
        # Extensions may say why there is no code.
        return None if "extension" in coding or "_code" in coding else False
    system = coding.get("system")
    return is_member(system, code) if system else False


def _is_member(coding: dict[str, Any], code_set: CodeSet) -> bool:
    return code_set.has_concept(coding.get("system", ""), coding.get("code", ""))
