"""``_at`` on searches: the record as it was at a moment, whatever was changed and deleted since."""

import time
import uuid

import pytest

SYSTEM = "urn:at"


@pytest.fixture(scope="module")
def past(fhir):
    """The ids' prefix and three moments: before everything, in between, and after all."""
    run = uuid.uuid4().hex[:12]
    tag = {"tag": [{"system": SYSTEM, "code": run}]}

    def put(type_, id_, **more):
        resource = {"resourceType": type_, "id": f"{run}-{id_}", "meta": tag, **more}
        answer = fhir.put(f"{type_}/{run}-{id_}", json=resource)
        assert answer.status_code in {200, 201}, answer.text

    def observed(id_, patient, status, value, code="x"):
        coded = {"coding": [{"system": SYSTEM, "code": code}]}
        subject = {"reference": f"Patient/{run}-{patient}"}
        put("Observation", id_, status=status, code=coded, subject=subject, valueQuantity={"value": value})

    def moment():
        time.sleep(0.02)
        now = time.time()
        time.sleep(0.02)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"

    before = moment()
    put("Patient", "p", name=[{"family": "Maiden"}])
    put("Patient", "q", name=[{"family": "Other"}])
    observed("changed", "p", "preliminary", 5)
    observed("moved", "p", "final", 7)
    observed("deleted", "q", "final", 3)
    observed("same", "q", "final", 9)
    put(
        "List",
        "l",
        status="current",
        mode="working",
        entry=[{"item": {"reference": f"Observation/{run}-same"}}],
    )
    between = moment()
    put("Patient", "p", name=[{"family": "Married"}])
    observed("changed", "p", "final", 6)
    observed("moved", "q", "final", 7)
    observed("new", "p", "final", 1)
    put(
        "List",
        "l",
        status="current",
        mode="working",
        entry=[{"item": {"reference": f"Observation/{run}-new"}}],
    )
    assert fhir.delete(f"Observation/{run}-deleted").status_code in {200, 204}
    return run, {"before": before, "between": between, "after": moment(), "day": between[:10]}


def _entries(fhir, path, **query):
    answer = fhir.get(path, params=query)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    entries = list(bundle.get("entry", ()))
    while following := [link["url"] for link in bundle["link"] if link["relation"] == "next"]:
        bundle = fhir.get(following[0]).json()
        entries += bundle.get("entry", ())
    return entries


def _ids(entries):
    return [entry["resource"]["id"].rpartition("-")[2] for entry in entries]


CASES = [
    ("Observation", "before", {}, ""),
    ("Observation", "between", {}, "changed deleted moved same"),
    ("Observation", "after", {}, "changed moved new same"),
    ("Observation", "day", {}, "changed moved new same"),
    ("Observation", "between", {"status": "final"}, "deleted moved same"),
    ("Observation", "after", {"status": "final"}, "changed moved new same"),
    ("Observation", "between", {"patient": "p"}, "changed moved"),
    ("Observation", "after", {"patient": "p"}, "changed new"),
    ("Observation", "between", {"patient": "q", "value-quantity": "gt5"}, "same"),
    ("Observation", "between", {"subject:Patient.family": "maiden"}, "changed moved"),
    ("Observation", "after", {"subject:Patient.family": "maiden"}, ""),
    ("Patient", "between", {"_has:Observation:patient:value-quantity": "7"}, "p"),
    ("Patient", "after", {"_has:Observation:patient:value-quantity": "7"}, "q"),
    ("Patient", "between", {"_content": "maiden"}, "p"),
    ("", "between", {"_type": "Observation,Patient"}, "changed deleted moved p q same"),
]


@pytest.mark.parametrize("case", CASES, ids=[str(c[:3]) for c in CASES])
def test_matches(fhir, past, case):
    run, moments = past
    path, at, query, expected = case
    query = {k: f"{run}-{v}" if k == "patient" else v for k, v in query.items()}
    found = _entries(fhir, path, _tag=f"{SYSTEM}|{run}", _at=moments[at], **query)

    assert sorted(_ids(found)) == expected.split()


def test_what_is_shown_is_the_version_of_the_moment(fhir, past):
    run, moments = past
    [entry] = _entries(fhir, "Observation", _id=f"{run}-changed", _at=moments["between"])

    assert entry["resource"]["status"] == "preliminary"
    assert entry["resource"]["meta"]["versionId"] == "1"


def test_a_list_and_includes_are_of_the_moment(fhir, past):
    run, moments = past
    query = {"_list": f"{run}-l", "_at": moments["between"], "_include": "Observation:subject"}
    found = _entries(fhir, "Observation", **query)
    assert _ids(found) == ["same", "q"]

    [observation, patient] = _entries(
        fhir, "Observation", _id=f"{run}-changed", _at=moments["between"], _include="Observation:subject"
    )
    assert observation["search"]["mode"] == "match"
    assert patient["resource"]["name"][0]["family"] == "Maiden"


@pytest.mark.parametrize("sort", ["value-quantity", "-value-quantity", "_lastUpdated"])
def test_order_and_pages(fhir, past, sort):
    run, moments = past
    query = {"_tag": f"{SYSTEM}|{run}", "_at": moments["between"], "_sort": sort}
    values = [
        entry["resource"]["valueQuantity"]["value"]
        for entry in _entries(fhir, "Observation", _count=1, **query)
    ]

    assert (
        values
        == {"value-quantity": [3, 5, 7, 9], "-value-quantity": [9, 7, 5, 3], "_lastUpdated": [5, 7, 3, 9]}[
            sort
        ]
    )
    assert len(_entries(fhir, "Observation", **query)) == 4


def test_the_compartment_of_the_moment(fhir, past):
    run, moments = past
    found = _entries(fhir, f"Patient/{run}-p/Observation", _at=moments["between"])

    assert sorted(_ids(found)) == ["changed", "moved"]


def test_totals_and_links_tell_the_moment(fhir, past):
    run, moments = past
    query = {"_tag": f"{SYSTEM}|{run}", "_at": moments["between"], "_summary": "count"}
    bundle = fhir.get("Observation", params=query).json()

    assert bundle["total"] == 4
    assert "_at=" in bundle["link"][0]["url"]


def test_what_is_no_moment_is_refused(fhir):
    for value in ("yesterday", "2020-13-01"):
        answer = fhir.get("Observation", params={"_at": value})
        assert answer.status_code == 400
        assert "is not a date" in answer.text
