"""Search for contained resources: https://hl7.org/fhir/R4/search.html#contained."""

import uuid

import pytest


def _order(code, id_, medications):
    return {
        "resourceType": "MedicationRequest",
        "id": id_,
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{code}-p"},
        "medicationReference": {"reference": f"#{medications[0][0]}"},
        "contained": [
            {
                "resourceType": "Medication",
                "id": name,
                "status": "active",
                "code": {"coding": [{"system": "urn:contained", "code": code}]},
            }
            for name, code in medications
        ],
        "supportingInformation": [{"reference": f"#{name}"} for name, _ in medications[1:]],
    }


@pytest.fixture(scope="module")
def code(fhir):
    """A code of this run; resources that use it, oldest first."""
    code = uuid.uuid4().hex[:12]
    bundle = {"resourceType": "Bundle", "id": f"{code}-4", "type": "collection"}
    medication = {
        "resourceType": "Medication",
        "id": f"{code}-0",
        "status": "active",
        "code": {"coding": [{"system": "urn:contained", "code": code}]},
    }
    resources = [
        {"resourceType": "Patient", "id": f"{code}-p"},
        medication,
        _order(code, f"{code}-1", [("m", code), ("other", "x")]),
        _order(code, f"{code}-2", [("other", "x"), ("n", code), ("o", code)]),
        {**bundle, "entry": [{"fullUrl": f"urn:uuid:{uuid.uuid4()}", "resource": medication}]},
    ]
    for resource in resources:
        answer = fhir.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text
    return code


def _entries(fhir, code, **more):
    answer = fhir.get("Medication", params={"code": f"urn:contained|{code}", **more})
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    base = str(fhir.base_url).rstrip("/")
    return bundle, [
        (e["fullUrl"].removeprefix(f"{base}/").replace(code, "C"), e["resource"]["resourceType"])
        for e in bundle.get("entry", ())
        if e["search"]["mode"] == "match"
    ]


CASES = [
    ({}, ["Medication/C-0"]),
    ({"_contained": "false"}, ["Medication/C-0"]),
    ({"_contained": "true"}, ["MedicationRequest/C-2", "MedicationRequest/C-1"]),
    ({"_contained": "both"}, ["MedicationRequest/C-2", "MedicationRequest/C-1", "Medication/C-0"]),
    ({"_contained": "both", "_sort": "_lastUpdated"}, ["Medication/C-0", "MedicationRequest/C-1", "MedicationRequest/C-2"]),
    (
        {"_contained": "true", "_containedType": "contained"},
        ["MedicationRequest/C-2#n", "MedicationRequest/C-2#o", "MedicationRequest/C-1#m"],
    ),
    (
        {"_contained": "both", "_containedType": "contained"},
        ["MedicationRequest/C-2#n", "MedicationRequest/C-2#o", "MedicationRequest/C-1#m", "Medication/C-0"],
    ),
    ({"_contained": "true", "_containedType": "contained", "_id": "m"}, ["MedicationRequest/C-1#m"]),
    ({"_contained": "true", "code:not": "x"}, ["MedicationRequest/C-2", "MedicationRequest/C-1"]),
    ({"_contained": "true", "status": "inactive"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), CASES, ids=[str(query) for query, _ in CASES])
def test_matches(fhir, code, query, expected):
    bundle, found = _entries(fhir, code, **query)

    assert [place for place, _ in found] == expected
    assert all(type_ == ("Medication" if "#" in place else place.partition("/")[0]) for place, type_ in found)
    for name in ("_contained", "_containedType"):
        assert (f"{name}={query.get(name)}" in bundle["link"][0]["url"]) == (name in query)


def test_containers_are_counted(fhir, code):
    assert _entries(fhir, code, _contained="true", _summary="count")[0]["total"] == 2
    assert _entries(fhir, code, _contained="both", _total="accurate")[0]["total"] == 3


@pytest.mark.parametrize(
    ("shown", "pages"),
    [
        ("container", [["MedicationRequest/C-2"], ["MedicationRequest/C-1"], ["Medication/C-0"]]),
        (
            "contained",
            [
                ["MedicationRequest/C-2#n", "MedicationRequest/C-2#o"],
                ["MedicationRequest/C-1#m"],
                ["Medication/C-0"],
            ],
        ),
    ],
)
def test_pages(fhir, code, shown, pages):
    bundle, found = _entries(fhir, code, _contained="both", _containedType=shown, _count="1")
    read = [[place for place, _ in found]]
    while following := [link["url"] for link in bundle["link"] if link["relation"] == "next"]:
        bundle = fhir.get(following[0]).json()
        base = str(fhir.base_url).rstrip("/")
        read.append(
            [e["fullUrl"].removeprefix(f"{base}/").replace(code, "C") for e in bundle.get("entry", ())]
        )

    assert read == pages


def test_a_part_of_a_contained_resource(fhir, code):
    bundle, _ = _entries(fhir, code, _contained="true", _containedType="contained", _elements="code", _id="m")
    [entry] = bundle["entry"]

    assert entry["resource"]["id"] == "m"
    assert "status" not in entry["resource"]
    assert entry["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"


def test_includes_go_with_containers(fhir, code):
    bundle, _ = _entries(fhir, code, _contained="true", _include="MedicationRequest:subject")

    assert [e["search"]["mode"] for e in bundle["entry"]] == ["match", "match", "include"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Medication?_contained=true&_containedType=contained&_include=*", "with includes"),
        ("Medication?_contained=true&_sort=code", "sorted by '_lastUpdated' only"),
        ("Medication?_contained=maybe", "takes one of both, false, true"),
        ("?_type=Medication,Patient&_contained=true", "searches of one type"),
    ],
)
def test_refused(fhir, path, message):
    answer = fhir.get(path)

    assert answer.status_code == 400
    assert message in answer.text


@pytest.mark.parametrize("which", ["true", "both"])
@pytest.mark.parametrize("kind", ["contained", "container"])
def test_totals(fhir, code, which, kind):
    asked = {"_contained": which, "_containedType": kind}
    _, shown = _entries(fhir, code, **asked, _count="100")
    for total in ({"_total": "accurate", "_count": "1"}, {"_total": "estimate"}, {"_summary": "count"}):
        bundle, _ = _entries(fhir, code, **asked, **total)
        assert bundle["total"] == len(shown)
