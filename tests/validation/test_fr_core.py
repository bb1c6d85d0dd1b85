"""FR Core 2.2.0: its examples are valid, and breaches of its own rules are found (test_detection.py: of any rule)."""

from __future__ import annotations

import copy
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import add, read_package
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

SUITE = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites")) / "fr-core"
pytestmark = pytest.mark.skipif(not SUITE.exists(), reason="the public suites aren't there: set FHIR_SUITES")


@pytest.fixture(scope="module")
def validator() -> Validator:
    definitions = Definitions()
    assert add(read_package(SUITE / "hl7.fhir.fr.core-2.2.0.tgz"), definitions) > 100
    return Validator(definitions, CodeSets(definitions))


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    found = {}
    with tarfile.open(SUITE / "examples.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".json"):
                found[Path(member.name).name] = decode(file.read())
    return found


def errors(validator: Validator, resource: dict[str, Any]) -> list[str]:
    return [i.expression for i in validator.validate(resource) if i.severity == "error"]


def test_the_examples_are_valid(validator: Validator, examples: dict[str, dict[str, Any]]) -> None:
    assert {name: errors(validator, e) for name, e in examples.items() if errors(validator, e)} == {}
    assert len(examples) == 31
    assert sum("profile" in e.get("meta", {}) for e in examples.values()) > 25
    claims = {i.rule for e in examples.values() for i in validator.validate(e)}
    assert "profile" not in claims  # every profile that is claimed was found


#: Breaches of what FR Core itself demands: example, place, new value (None: taken away), where it is reported.
RULES: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("Observation-FRCoreObservationBPExample.json", ("component",), None, "Observation"),
    ("Observation-FRCoreObservationBPExample.json", ("category",), None, "Observation"),
    ("Observation-FRCoreObservationBMIExample.json", ("valueQuantity", "code"), "kg", "Observation.value.ofType(Quantity).code"),
    ("Observation-FRCoreObservationBMIExample.json", ("subject",), None, "Observation"),
    ("Patient-FRCorePatientExample.json", ("gender",), "man", "Patient.gender"),
    ("Observation-FRCoreObservationBodyWeightExample.json", ("subject",), {"reference": "Location/1"}, "Observation.subject"),
    ("Appointment-FRCoreAppointmentExample.json", ("participant",), None, "Appointment"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "value", "place"), RULES)
def test_breaches_of_its_profiles(  # noqa: PLR0917 - parametrised
    name: str,
    path: tuple[str | int, ...],
    value: Any,
    place: str,
    validator: Validator,
    examples: dict[str, dict[str, Any]],
) -> None:
    mutant = copy.deepcopy(examples[name])
    inner: Any = mutant
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    assert place in errors(validator, mutant)
