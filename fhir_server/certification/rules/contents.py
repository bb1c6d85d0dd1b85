"""What a client's bodies must be: valid, by their profiles, with bound codes and references of R4's form."""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.certification.session import Session
from fhir_server.certification.traffic import Call
from fhir_server.outcome import Issue

#: Bodies that hold a whole resource: entries are judged with their Bundle, because of what they refer to.
_JUDGED = frozenset({"create", "update", "batch", "transaction", "operation", "line"})


def readable(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """The body is JSON or XML of a resource."""
    if call.problem:
        return [call.problem]
    return None if call.resource is None else []


def issues(call: Call, session: Session) -> tuple[Issue, ...] | None:
    """Return what the validator says of a body; None when there is no resource to judge."""
    if (
        call.resource is None
        or call.interaction not in _JUDGED
        or (call.entry >= 0 and call.interaction != "line")
    ):
        return None
    return session.validator.validate(dict(call.resource))


def rule_of(issue: Issue) -> str:
    """Return the id of our rule that an issue of the validator breaks, "" for advice."""
    facet = issue.rule.partition("@")[0]
    if issue.severity == "information":
        return ""
    if issue.severity == "warning":
        return {"binding-extensible": "terminology-extensible", "profile": "profile-known"}.get(facet, "")
    if issue.code == "code-invalid":
        return "terminology"
    if facet in {"reference", "ref-1"}:
        return "reference-form"
    return "profile-kept" if "@http" in issue.rule or "(profile " in issue.diagnostics else "resource-valid"


#: The rules that the validator's issues are sorted into.
SORTED = (
    "resource-valid", "profile-kept", "profile-known", "terminology", "terminology-extensible", "reference-form",
)  # fmt: skip


def sorted_issues(call: Call, session: Session) -> dict[str, list[str]] | None:
    """Return the sentences for each of the rules; None when there is no resource to judge."""
    found = issues(call, session)
    if found is None:
        return None
    said: dict[str, list[str]] = {rule: [] for rule in SORTED if _applies(rule, call)}
    for issue in found:
        if rule := rule_of(issue):
            said.setdefault(rule, []).append(f"{issue.expression}: {issue.diagnostics}")
    return said


def _applies(rule: str, call: Call) -> bool:
    check: Callable[[object], bool] | None = {"profile-kept": _claims, "profile-known": _claims}.get(rule)
    return check is None or check(call.resource)


def _claims(value: object) -> bool:
    """Tell whether a resource, or one inside it, claims a profile."""
    if isinstance(value, dict):
        meta = value.get("meta")
        return bool(isinstance(meta, dict) and meta.get("profile")) or any(map(_claims, value.values()))
    return isinstance(value, list) and any(map(_claims, value))
