"""What professionals record in R4's own terms: conditions, treatments, vaccinations, results, stays.

https://hl7.org/fhir/R4/condition.html, medicationrequest.html, immunization.html, observation.html, encounter.html
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from fhir_server.demo.codes import (
    ATC,
    ICD_10,
    LOINC,
    THO,
    Json,
    coding,
    concept,
    quantity,
    reference,
    resource,
)

#: Laboratory results: LOINC code and name, what people call it, unit, and the limits of the normal range.
RESULTS: dict[str, tuple[str, str, str, str, str, str]] = {
    "hba1c": ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "HbA1c", "%", "", "6.0"),
    "glucose": ("14749-6", "Glucose [Moles/volume] in Serum or Plasma", "Glycémie à jeun", "mmol/L", "3.9", "6.1"),
    "ldl": ("2089-1", "Cholesterol in LDL [Mass/volume] in Serum or Plasma", "LDL-cholestérol", "mg/dL", "", "160"),
    "creatinine": ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "Créatinine", "mg/dL", "0.6", "1.2"),
    "haemoglobin": ("718-7", "Hemoglobin [Mass/volume] in Blood", "Hémoglobine", "g/dL", "12.0", "16.0"),
    "tsh": ("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "TSH", "m[IU]/L", "0.4", "4.0"),
}  # fmt: skip
_INTERPRETATIONS = {"L": "Low", "N": "Normal", "H": "High"}


def condition(id_: str, holder: str, code: tuple[str, str], *, since: str, is_over: bool = False) -> Json:
    """Return a problem (ICD-10) since a date."""
    status = ("resolved", "Resolved") if is_over else ("active", "Active")
    return resource("Condition", id_) | {
        "clinicalStatus": concept(f"{THO}/condition-clinical", *status),
        "verificationStatus": concept(f"{THO}/condition-ver-status", "confirmed", "Confirmed"),
        "category": [concept(f"{THO}/condition-category", "problem-list-item", "Problem List Item")],
        "code": concept(ICD_10, code[0], text=code[1]),
        "subject": reference(holder),
        "onsetDateTime": since,
    }


def prescription(
    id_: str, holder: str, medicine: tuple[str, str], *, on: str, by: str, dosage: str, is_over: bool = False
) -> Json:
    """Return the order of a medicine (ATC) by a professional."""
    return resource("MedicationRequest", id_) | {
        "status": "completed" if is_over else "active",
        "intent": "order",
        "medicationCodeableConcept": concept(ATC, medicine[0], text=medicine[1]),
        "subject": reference(holder),
        "authoredOn": on,
        "requester": reference(by),
        "dosageInstruction": [{"text": dosage}],
    }


def vaccination(id_: str, holder: str, vaccine: tuple[str, str], *, on: str, by: str, dose: int) -> Json:
    """Return a vaccination (ATC) with the number of its dose."""
    return resource("Immunization", id_) | {
        "status": "completed",
        "vaccineCode": concept(ATC, vaccine[0], text=vaccine[1]),
        "patient": reference(holder),
        "occurrenceDateTime": on,
        "primarySource": True,
        "performer": [{"actor": reference(by)}],
        "protocolApplied": [{"doseNumberPositiveInt": dose}],
    }


def result(
    id_: str, kind: str, holder: str, *, taken: str, issued: str, by: Sequence[str], value: Decimal
) -> Json:
    """Return a laboratory result with its normal range and what the value means in it."""
    code, name, text, unit, low, high = RESULTS[kind]
    meaning = "H" if value > Decimal(high) else "L" if low and value < Decimal(low) else "N"
    limits = {"low": low, "high": high}
    return resource("Observation", id_) | {
        "status": "final",
        "category": [concept(f"{THO}/observation-category", "laboratory", "Laboratory")],
        "code": concept(LOINC, code, name, text),
        "subject": reference(holder),
        "effectiveDateTime": taken,
        "issued": issued,
        "performer": [reference(one) for one in by],
        "valueQuantity": quantity(value, unit),
        "interpretation": [
            concept(f"{THO}/v3-ObservationInterpretation", meaning, _INTERPRETATIONS[meaning])
        ],
        "referenceRange": [
            {end: quantity(Decimal(limit), unit) for end, limit in limits.items() if limit},
        ],
    }


def report(
    id_: str, holder: str, *, taken: str, issued: str, by: Sequence[str], results: Sequence[str]
) -> Json:
    """Return the laboratory's report that holds results together."""
    return resource("DiagnosticReport", id_) | {
        "status": "final",
        "category": [concept(f"{THO}/v2-0074", "LAB", "Laboratory")],
        "code": concept(LOINC, "11502-2", text="Examens biologiques"),
        "subject": reference(holder),
        "effectiveDateTime": taken,
        "issued": issued,
        "performer": [reference(one) for one in by],
        "result": [reference(f"Observation/{one}") for one in results],
    }


def stay(id_: str, holder: str, *, period: tuple[str, str], at: str, by: str, reason: str) -> Json:
    """Return a stay in hospital."""
    return resource("Encounter", id_) | {
        "status": "finished",
        "class": coding(f"{THO}/v3-ActCode", "IMP", "inpatient encounter"),
        "subject": reference(holder),
        "participant": [{"individual": reference(by)}],
        "period": {"start": period[0], "end": period[1]},
        "reasonCode": [{"text": reason}],
        "serviceProvider": reference(at),
    }
