"""Required bindings: the code must come from the value set.

https://hl7.org/fhir/R4/terminologies.html#required
"""

from __future__ import annotations

from typing import Any

from fhir_server.validation.protocols import CodeSet, Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.primitive import Scalar, scalar

#: A value set of at most so many codes is named code by code.
_LISTED = 25


def _allowed(code_set: CodeSet, url: str) -> str:
    if 0 < len(code_set.codes) <= _LISTED:
        return "one of: " + ", ".join(sorted(code_set.codes))
    return f"from the value set {url}"


def bound_code(type_code: str, code_set: CodeSet, url: str) -> Scalar:
    """Return the test of a bare code (or string, or uri) that must be in the value set."""
    plain = scalar(type_code)
    codes = code_set.codes

    def problem(value: Any) -> tuple[str, str, str]:
        if not plain.accepts(value):
            return plain.problem(value)
        return "code-invalid", f"The code must be {_allowed(code_set, url)}.", "binding@"

    if codes:
        return Scalar(lambda value: type(value) is str and value in codes, problem)
    return Scalar(lambda value: plain.accepts(value) and code_set.has_code(value), problem)


def bound_coding(inner: Handler, code_set: CodeSet, url: str) -> Handler:
    """Return the handler of a Coding or Quantity whose system and code must be in the value set."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = inner(value, parent, run)
        if found is None and not _is_member(value, code_set):
            return run.error(
                "code-invalid", f"System and code must be {_allowed(code_set, url)}.", "binding@"
            )
        return found

    return handler


def bound_concept(inner: Handler, code_set: CodeSet, url: str) -> Handler:
    """Return the handler of a CodeableConcept of which one coding must be in the value set.

    A concept that has nothing but extensions (a data-absent-reason) is left alone.
    """

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = inner(value, parent, run)
        if found is not None:
            return found
        codings = value.get("coding", ())
        if any(_is_member(coding, code_set) for coding in codings) or not (codings or "text" in value):
            return None
        return run.error(
            "code-invalid", f"One coding (system and code) must be {_allowed(code_set, url)}.", "binding@"
        )

    return handler


def _is_member(coding: dict[str, Any], code_set: CodeSet) -> bool:
    return code_set.has_concept(coding.get("system", ""), coding.get("code", ""))
