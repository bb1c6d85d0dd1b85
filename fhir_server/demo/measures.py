"""What health apps and devices measure, each under its own profile.

https://hl7.org/fhir/R4/observation-vitalsigns.html, profiles/StructureDefinition-hs-measure-*
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fhir_server.demo.codes import HS, LOINC, THO, Json, coding, concept, quantity, reference, resource


class Kind(NamedTuple):
    """A measure: LOINC code and name, unit in UCUM and as shown, HL7's profile and the code that it wants too."""

    code: str
    name: str
    ucum: str
    unit: str = ""
    category: str = "vital-signs"
    hl7: str = ""
    also: tuple[str, str] | None = None


_HEAD = "Head Occipital-frontal circumference"
KINDS = {
    "heart-rate": Kind("8867-4", "Heart rate", "/min", hl7="heartrate"),
    "resting-heart-rate": Kind(
        "40443-4", "Heart rate --resting", "/min", hl7="heartrate", also=("8867-4", "Heart rate")
    ),
    "heart-rate-variability": Kind(
        "80404-7", "R-R interval.standard deviation (Heart rate variability)", "ms"
    ),
    "steps-day": Kind("41950-7", "Number of steps in 24 hour Measured", "1/(24.h)", "steps/day", "activity"),
    "energy-day": Kind(
        "41979-6", "Calories burned in 24 hour Calculated", "kcal/(24.h)", "kcal/day", "activity"
    ),
    "body-weight": Kind("29463-7", "Body weight", "kg", hl7="bodyweight"),
    "body-height": Kind("8302-2", "Body height", "cm", hl7="bodyheight"),
    "head-circumference": Kind(
        "8287-5", f"{_HEAD} by Tape measure", "cm", hl7="headcircum", also=("9843-4", _HEAD)
    ),
    "body-temperature": Kind("8310-5", "Body temperature", "Cel", "°C", hl7="bodytemp"),
    "oxygen-saturation": Kind("2708-6", "Oxygen saturation in Arterial blood", "%", hl7="oxygensat"),
    "respiratory-rate": Kind("9279-1", "Respiratory rate", "/min", hl7="resprate"),
    "glucose": Kind("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL"),
    "waist": Kind("8280-0", "Waist Circumference at umbilicus by Tape measure", "cm"),
}
_CATEGORIES = {"vital-signs": "Vital Signs", "activity": "Activity"}
_HL7 = "http://hl7.org/fhir/StructureDefinition/"


def measure(id_: str, kind: str, value: Any, *, when: str, holder: str, device: str) -> Json:
    """Return one value of a kind; ``when`` is a date for totals of a day, else a time with its zone."""
    row = KINDS[kind]
    made = _claiming(id_, f"hs-measure-{kind}", row.hl7) | _start(
        row.category, (row.code, row.name), holder=holder, device=device
    )
    if row.also:
        made["code"]["coding"].append(coding(LOINC, *row.also))
    made["effectiveDateTime"] = when
    made["valueQuantity"] = quantity(value, row.unit or row.ucum, row.ucum)
    return made


def blood_pressure(id_: str, systolic: int, diastolic: int, *, when: str, holder: str, device: str) -> Json:
    """Return one measure of blood pressure in mm[Hg]."""
    code = ("85354-9", "Blood pressure panel with all children optional")
    start = _start("vital-signs", code, holder=holder, device=device)
    return (
        _claiming(id_, "hs-measure-blood-pressure", "bp")
        | start
        | {
            "effectiveDateTime": when,
            "component": [
                _component("8480-6", "Systolic blood pressure", systolic, "mmHg", "mm[Hg]"),
                _component("8462-4", "Diastolic blood pressure", diastolic, "mmHg", "mm[Hg]"),
            ],
        }
    )


def workout(
    id_: str, minutes: int, *, period: tuple[str, str], steps: int, kcal: int, holder: str, device: str
) -> Json:
    """Return one workout with its steps and energy; the period has start and end with their zone."""
    start = _start("activity", ("55411-3", "Exercise duration"), holder=holder, device=device)
    return (
        _claiming(id_, "hs-measure-exercise")
        | start
        | {
            "effectivePeriod": {"start": period[0], "end": period[1]},
            "valueQuantity": quantity(minutes, "min"),
            "component": [
                _component(
                    "55423-8", "Number of steps in unspecified time Pedometer", steps, "steps", "{steps}"
                ),
                _component("55424-6", "Calories burned in unspecified time Pedometer", kcal, "kcal", "kcal"),
            ],
        }
    )


def _claiming(id_: str, profile: str, hl7: str = "") -> Json:
    return resource("Observation", id_, profile, *([_HL7 + hl7] if hl7 else []))


def _start(category: str, code: tuple[str, str], *, holder: str, device: str) -> Json:
    return {
        "extension": [{"url": f"{HS}/StructureDefinition/hs-acquisition", "valueCode": "sensed"}],
        "status": "final",
        "category": [concept(f"{THO}/observation-category", category, _CATEGORIES[category])],
        "code": concept(LOINC, *code),
        "subject": reference(holder),
        "device": reference(device),
    }


def _component(code: str, name: str, value: int, unit: str, ucum: str) -> Json:
    return {"code": concept(LOINC, code, name), "valueQuantity": quantity(value, unit, ucum)}
