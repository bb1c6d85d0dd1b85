"""Deterministic vital-sign Observations of about 1 KB and their Patients: the data of every workload."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

#: LOINC code, display, unit as shown, UCUM code, lowest and highest value.
VITAL_SIGNS = (
    ("8867-4", "Heart rate", "beats/minute", "/min", 50, 120),
    ("8310-5", "Body temperature", "Cel", "Cel", 35, 40),
    ("9279-1", "Respiratory rate", "breaths/minute", "/min", 10, 30),
    ("29463-7", "Body weight", "kg", "kg", 50, 120),
    ("2708-6", "Oxygen saturation in Arterial blood", "%", "%", 88, 100),
)
START = datetime(2022, 1, 1, tzinfo=UTC)
SPAN_SECONDS = 4 * 365 * 86400


def patient(number: int, rng: random.Random) -> dict[str, Any]:
    """Return one invented Patient."""
    return {
        "resourceType": "Patient",
        "identifier": [{"use": "usual", "system": "http://bench.example.org/mrn", "value": f"MRN-{number}"}],
        "active": True,
        "name": [{"use": "official", "family": f"Family{number % 37}", "given": [f"Given{number}", "Q"]}],
        "telecom": [{"system": "phone", "value": f"555-{number:04d}", "use": "home"}],
        "gender": rng.choice(["male", "female"]),
        "birthDate": f"{1940 + number % 70}-0{1 + number % 9}-1{number % 10}",
    }


def observation(subject: str, rng: random.Random, sign: int = 0) -> dict[str, Any]:
    """Return one vital sign of ``subject`` (``Patient/id``) at a random second of four years."""
    code, display, unit, ucum, low, high = VITAL_SIGNS[sign % len(VITAL_SIGNS)]
    moment = f"{START + timedelta(seconds=rng.randrange(SPAN_SECONDS)):%Y-%m-%dT%H:%M:%S}"
    return {
        "resourceType": "Observation",
        "identifier": [{"system": "http://bench.example.org/obs", "value": f"{rng.getrandbits(128):032x}"}],
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                        "display": "Vital Signs",
                    }
                ],
                "text": "Vital Signs",
            }
        ],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": code, "display": display}],
            "text": display,
        },
        "subject": {"reference": subject},
        "effectiveDateTime": moment + "Z",
        "issued": moment + ".000Z",
        "valueQuantity": {
            "value": rng.randrange(low, high),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": ucum,
        },
        "interpretation": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
                        "code": "N",
                        "display": "Normal",
                    }
                ]
            }
        ],
        "note": [{"text": "Measured at rest by the ward monitor; reading averaged over sixty seconds."}],
    }


def encoded(resource: dict[str, Any]) -> bytes:
    """Return compact JSON."""
    return json.dumps(resource, separators=(",", ":")).encode()
