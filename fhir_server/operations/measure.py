"""One measure of an app: from the resource that was sent to the one that is stored, or the issues with it.

docs/measures.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.exchange import Server
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.prepare import of_type
from fhir_server.operations.ingest_parties import Parties
from fhir_server.outcome import FhirError, Issue
from fhir_server.space.ingestion import natural_key, source_of, stamp, time_issues
from fhir_server.space.measures import add_profiles, measure_of, normalise_units

#: Issues that say that a line is no FHIR; all others say that it is no measure of a health space.
_NOT_FHIR = ("structure", "invalid")


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure that may be stored: whose it is, which app sent it, its natural key, and warnings about it."""

    resource: dict[str, Any]
    patient: str
    app: str
    key: bytes
    warnings: tuple[Issue, ...]


def measured(server: Server, observation: dict[str, Any], about: Parties) -> Measured:
    """Return the measure in its profile's form; raise FhirError 400, 403 or 422."""
    of_type(observation, "Observation")
    observation.pop("id", None)
    patient, citizen = about.citizen(observation)
    device = about.device(observation, patient)
    measure = measure_of(observation)
    normalise_units(observation, measure)
    add_profiles(observation, measure)
    app, sender = about.sender(device)
    try:
        warnings = assess(server, observation)
    except FhirError as problem:
        is_no_fhir = any(issue.code in _NOT_FHIR for issue in problem.issues if issue.severity == "error")
        raise FhirError(*problem.issues, status=400 if is_no_fhir else 422) from None
    issues = time_issues(observation, citizen.get("birthDate"), server.clock())
    if issues:
        raise FhirError(*issues)
    stamp(observation, source_of(sender))
    return Measured(observation, patient, app, natural_key(observation, patient), warnings)
