"""What is broken in valid resources, element by element, is found at its place (`make bench-detection`: all of it)."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from benchmarks.detection import FR_CORE, R4_EXAMPLES, detection, fr_core, resources
from benchmarks.mutants import mutants
from benchmarks.snapshots import Snapshots
from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.content import examples_that_pass

NEEDS_FR_CORE = pytest.mark.skipif(
    not FR_CORE.exists(), reason="the public suites aren't there: set FHIR_SUITES"
)


@NEEDS_FR_CORE
def test_defects_of_the_fr_core_examples_by_their_profiles() -> None:
    found = detection(fr_core(), resources(FR_CORE / "examples.tar.gz"))
    assert [(m.kind, m.place, errors) for m, errors in found.missed] == []
    assert found.made.total() > 7000
    assert {"slice removed", "slice repeated", "element with max 0", "code outside its value set"} <= set(
        found.made
    )


@NEEDS_FR_CORE
def test_defects_of_official_examples() -> None:
    found = detection(Definitions(), islice(resources(R4_EXAMPLES), 0, None, 12), most=60)
    assert found.rate > 0.99, [(m.kind, m.place, errors) for m, errors in found.missed]
    assert found.made.total() > 2000


def test_defects_of_the_examples_that_the_server_brings() -> None:
    chosen = islice(examples_that_pass(), 0, None, 6)
    found = detection(Definitions(), (decode(body) for _, _, body in chosen), most=60)
    assert found.rate > 0.99, [(m.kind, m.place, errors) for m, errors in found.missed]
    assert found.made.total() > 200


def test_the_mutants_differ_from_what_they_were_made_of() -> None:
    name = {"family": "A", "use": "usual"}
    patient: dict[str, Any] = {"resourceType": "Patient", "gender": "male", "name": [name]}
    made = list(mutants(patient, Snapshots(Definitions())))
    assert all(m.resource != patient for m in made)
    places = {(m.kind, m.place) for m in made}
    assert {
        ("code outside its value set", "Patient.gender"),
        ("empty string", "Patient.name[0].family"),
    } <= places
