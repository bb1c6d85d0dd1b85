"""``near``: https://hl7.org/fhir/R4/location.html#positional."""

from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search import Pager

PLACES = {
    "louvre": (48.8606, 2.3376),
    "eiffel": (48.8584, 2.2945),
    "lyon": (45.7640, 4.8357),
    "fiji": (-17.7, 179.9),
}


def place(name, latitude, longitude):
    return {
        "resourceType": "Location",
        "id": name,
        "position": {"latitude": latitude, "longitude": longitude},
    }


@pytest.fixture
def filled(engine):
    engine.put(*(place(name, *where) for name, where in PLACES.items()))
    engine.put({"resourceType": "Location", "id": "nowhere"}, place("beyond", 91, 0))
    return engine


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("48.8606|2.3376|1", {"louvre"}),
        ("48.8606|2.3376|4|km", {"louvre", "eiffel"}),
        ("48.8606|2.3376|3100|m", {"louvre"}),
        ("48.8606|2.3376|3300|m", {"louvre", "eiffel"}),
        ("48.8606|2.3376|2|[mi_us]", {"louvre", "eiffel"}),
        ("48.8606|2.3376", {"louvre", "eiffel"}),
        ("48.8606|2.3376|400|km", {"louvre", "eiffel", "lyon"}),
        ("45.764|4.8357|0", {"lyon"}),
        ("-17.7|-179.9|30", {"fiji"}),
        ("0|0|1", set()),
        ("45.764|4.8357|1,48.8606|2.3376|1", {"lyon", "louvre"}),
        ("0|0|30000", {"louvre", "eiffel", "lyon", "fiji"}),
    ],
)
def test_places(filled, value, found):
    query = filled.parse("Location", [("near", value)])
    assert {row.id for page in filled.pages(query) for row in page.rows} == found
    assert {i for i, made in filled.documents["Location"].items() if query.expression.matches(made)} == found


def test_missing(filled):
    assert set(filled.ids("Location", ("near:missing", "true"))) == {"nowhere", "beyond"}
    assert len(filled.ids("Location", ("near:missing", "false"))) == 4


def test_the_index_leads(filled):
    plan = Pager(filled.parse("Location", [("near", "45|4|9")]), filled.registry).plan()
    assert plan is not None
    assert plan.hint == "near"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("45", "of the form"),
        ("45|x|1", "in numbers"),
        ("45|nan|1", "in numbers"),
        ("95|0|1", "on the earth"),
        ("45|0|-1", "at least 0"),
        ("45|0|1|parsec", "unit is one of"),
        ("1|2|3|km|5", "of the form"),
    ],
)
def test_refused(asked, value, message):
    with pytest.raises(FhirError, match=message):
        asked.expression("Location", "near", value)


def test_no_order_of_places(asked):
    with pytest.raises(FhirError, match="can't be sorted by 'near'"):
        asked.expression("Location", "_sort", "near")
