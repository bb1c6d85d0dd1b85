"""The verdict of the validator on a resource that is to be stored.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.exchange import Server
from fhir_server.outcome import STATUS_BY_CODE, FhirError, Issue
from fhir_server.search.customizing import defects, is_effective


def assess(server: Server, resource: dict[str, Any]) -> tuple[Issue, ...]:
    """Return the warnings about a valid resource; raise FhirError with all issues when there is an error.

    The status is 400 when an error concerns the structure or values of R4 itself, else 422: invariants, codes, business
    rules, and whatever a profile asks for (https://hl7.org/fhir/R4/http.html#create).
    """
    issues = server.validator.validate(resource, lenient=True)
    if resource["resourceType"] == "SearchParameter":
        issues = (*issues, *_of_search_parameter(server, resource))
    if not issues:
        return ()
    errors = [issue for issue in issues if issue.severity in ("error", "fatal")]
    if errors:
        issues = server.validator.corrected(issues, resource)
        raise FhirError(*issues, status=min(map(_status, errors)))
    return issues


def _status(issue: Issue) -> int:
    """Return the status that an error alone would have; the rule of a profile names its canonical URL."""
    return 422 if "://" in issue.rule else STATUS_BY_CODE.get(issue.code, 422)


def _of_search_parameter(server: Server, resource: dict[str, Any]) -> tuple[Issue, ...]:
    """Return what hinders a SearchParameter that is to take effect (an active one that is not R4's own)."""
    if not is_effective(resource, server.registry):
        return ()
    return tuple(
        Issue("error", "business-rule", text, f"SearchParameter.{element}")
        for element, text in defects(resource, server.registry)
    )
