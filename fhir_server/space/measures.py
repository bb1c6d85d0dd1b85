"""The measures of the health space: what each is called, its unit, its profiles, and the codes that stand for it.

profiles/StructureDefinition-hs-measure-*.json hold the rules; this table leads from a code to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fhir_server.messages import say
from fhir_server.outcome import FhirError, Issue
from fhir_server.space import units
from fhir_server.space.names import HL7_PROFILE, LOINC, ORIGINAL_QUANTITY, PROFILE
from fhir_server.space.units import Kind, normalised

#: Key of the rule in issues.
RULE = "hs-b-measure-code"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: the id behind ``hs-measure-``, its LOINC code, its unit, and HL7's profile where there is one.

    ``kind`` is None where only components have values; ``components`` are their kinds by LOINC code.
    """

    id: str
    code: str
    kind: Kind | None
    hl7: str = ""
    components: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that a stored measure claims."""
        own = f"{PROFILE}hs-measure-{self.id}"
        return (own, HL7_PROFILE + self.hl7) if self.hl7 else (own,)


MEASURES = (
    Measure("heart-rate", "8867-4", units.RATE, "heartrate"),
    Measure("resting-heart-rate", "40443-4", units.RATE),
    Measure("heart-rate-variability", "80404-7", units.MILLISECONDS),
    Measure("steps-day", "41950-7", units.STEPS),
    Measure("energy-day", "41979-6", units.ENERGY),
    Measure(
        "exercise",
        "55411-3",
        units.DURATION,
        components={
            "55423-8": units.WORKOUT_STEPS,
            "55424-6": units.WORKOUT_ENERGY,
            "55425-3": units.RATE,
            "55426-1": units.RATE,
            "55430-3": units.DISTANCE,
        },
    ),
    Measure("body-weight", "29463-7", units.MASS, "bodyweight"),
    Measure("body-height", "8302-2", units.LENGTH, "bodyheight"),
    Measure("body-mass-index", "39156-5", units.BODY_MASS_INDEX, "bmi"),
    Measure(
        "blood-pressure",
        "85354-9",
        None,
        "bp",
        components={"8480-6": units.PRESSURE, "8462-4": units.PRESSURE},
    ),
    Measure("body-temperature", "8310-5", units.TEMPERATURE, "bodytemp"),
    Measure("oxygen-saturation", "2708-6", units.SATURATION, "oxygensat"),
    Measure("respiratory-rate", "9279-1", units.RATE, "resprate"),
    Measure("glucose", "2345-7", units.GLUCOSE),
    Measure("waist", "8280-0", units.LENGTH),
    Measure("head-circumference", "8287-5", units.LENGTH, "headcircum"),
    Measure("pain", "72514-3", units.SCORE),
)
BY_CODE: Mapping[str, Measure] = {measure.code: measure for measure in MEASURES}
#: Codes that phones use for one of the measures: the measure's own code is put in front of them.
ALIASES: Mapping[str, str] = {"41653-7": "2345-7", "59408-5": "2708-6"}
#: Steps; a total of one day is the measure steps-day.
STEPS, STEPS_DAY = "55423-8", "41950-7"


def measure_of(observation: dict[str, Any]) -> Measure:
    """Return what an Observation measures; its code, and the time of a day's total, are changed in place if need be.

    Raises FhirError 422 for a code that is none of a measure.
    """
    codings = _codings(observation.get("code"))
    codes = [c["code"] for c in codings if c.get("system") == LOINC and isinstance(c.get("code"), str)]
    for code in codes:
        if code in BY_CODE:
            return BY_CODE[code]
    for code in codes:
        own = ALIASES.get(code)
        if code == STEPS and _becomes_day(observation):
            own = STEPS_DAY
        if own is not None:
            observation["code"] = {
                **observation["code"],
                "coding": [{"system": LOINC, "code": own}, *codings],
            }
            return BY_CODE[own]
    known = ", ".join((*BY_CODE, *ALIASES, f"{STEPS} with a Period of one day"))
    text = say("This is no code of a measure; the LOINC codes are {known}.", known=known)
    raise FhirError(Issue("error", "not-supported", text, "Observation.code", RULE), status=422)


def _codings(concept: Any) -> list[dict[str, Any]]:
    found = concept.get("coding") if isinstance(concept, dict) else None
    return [coding for coding in found if isinstance(coding, dict)] if isinstance(found, list) else []


def _becomes_day(observation: dict[str, Any]) -> bool:
    """Give a total its plain date if its Period is one day, from midnight where the wearer was."""
    period = observation.get("effectivePeriod")
    if not isinstance(period, dict):
        return False
    start, end = period.get("start"), period.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return False
    if not (start == end and len(start) == 10):
        try:
            begun, ended = datetime.fromisoformat(start), datetime.fromisoformat(end)
            length = ended - begun
        except (ValueError, TypeError):
            return False
        is_midnight = begun.time() == datetime.min.time()
        if len(start) == 10 or not is_midnight or not _DAY - timedelta(seconds=1) <= length <= _DAY:
            return False
    del observation["effectivePeriod"]
    observation["effectiveDateTime"] = start[:10]
    return True


def add_profiles(observation: dict[str, Any], measure: Measure) -> None:
    """Let a measure claim its profiles, whatever else it claims."""
    meta = observation.get("meta")
    meta = dict(meta) if isinstance(meta, dict) else {}
    given = meta.get("profile")
    claimed = list(given) if isinstance(given, list) else []
    meta["profile"] = claimed + [profile for profile in measure.profiles if profile not in claimed]
    observation["meta"] = meta


def normalise_units(observation: dict[str, Any], measure: Measure) -> None:
    """Convert the quantities of a measure in place; what was sent goes to ``hs-original-quantity``.

    Raises FhirError 422 with the issues of all quantities.
    """
    issues: list[Issue] = []
    if measure.kind is not None:
        _normalise(observation, measure.kind, "Observation", issues)
    components = observation.get("component")
    for number, component in enumerate(components if isinstance(components, list) else ()):
        if not isinstance(component, dict):
            continue
        codes = [str(coding.get("code")) for coding in _codings(component.get("code"))]
        kind = next((measure.components[code] for code in codes if code in measure.components), None)
        if kind is not None:  # others the profile judges
            _normalise(component, kind, f"Observation.component[{number}]", issues)
    if issues:
        raise FhirError(*issues, status=422)


def _normalise(holder: dict[str, Any], kind: Kind, place: str, issues: list[Issue]) -> None:
    quantity = holder.get("valueQuantity")
    if not isinstance(quantity, dict):
        return
    made = normalised(quantity, kind, f"{place}.value.ofType(Quantity)")
    if isinstance(made, Issue):
        issues.append(made)
    elif made != quantity:
        holder["valueQuantity"] = made
        extensions = holder.get("extension")
        others = [e for e in extensions if isinstance(e, dict)] if isinstance(extensions, list) else []
        kept = [e for e in others if e.get("url") != ORIGINAL_QUANTITY]
        holder["extension"] = [*kept, {"url": ORIGINAL_QUANTITY, "valueQuantity": quantity}]
