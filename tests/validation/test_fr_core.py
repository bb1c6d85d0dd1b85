"""FR Core 2.2.0: its examples are valid, and what is broken in them is found where it was broken."""

from __future__ import annotations

import copy
import os
import tarfile
from collections.abc import Iterator
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


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        if key in {"resourceType", "text", "profile"}:
            continue
        yield (*path, key)
        yield from places(value, (*path, key))


def broken(value: Any, key: str | int) -> list[Any]:
    """Return values that can't be right in the place of this one, one for each way to break it."""
    if isinstance(value, dict):
        return [{}, [value], "text"]
    if isinstance(value, list):
        return [[], {}]
    if isinstance(value, str):
        return [7, " ", {"x": 1}, *(["not a\tcode "] if key in {"code", "use", "status", "system"} else [])]
    return [[value], "not a number or boolean"]


def shown(path: tuple[str | int, ...], resource: dict[str, Any]) -> str:
    text = resource["resourceType"]
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text


def plain(expression: str) -> str:
    """Return a path with the JSON names of choices."""
    parts = expression.split(".ofType(")
    text = parts[0]
    for part in parts[1:]:
        name, _, rest = part.partition(")")
        text += name[0].upper() + name[1:] + rest
    return text


def test_what_is_broken_is_found_at_its_place(
    validator: Validator, examples: dict[str, dict[str, Any]]
) -> None:
    count, missed = 0, []
    for name, example in examples.items():
        for path in list(places(example)):
            holder: Any = example
            for step in path[:-1]:
                holder = holder[step]
            for bad in broken(holder[path[-1]], path[-1]):
                mutant = copy.deepcopy(example)
                inner: Any = mutant
                for step in path[:-1]:
                    inner = inner[step]
                inner[path[-1]] = bad
                count += 1
                place = shown(path, example).replace("._", ".")
                found = [plain(e) for e in errors(validator, mutant)]
                if not any(e.startswith(place) or place.rpartition(".")[0] == e for e in found):
                    missed.append((name, place, bad, found))
    assert count > 3000
    assert len(missed) < 0.05 * count, missed[:20]


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
