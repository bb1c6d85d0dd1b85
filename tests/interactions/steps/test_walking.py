"""Chains and _has that lead through too much: pages of the walk hold what the two steps find, in both directions."""

import pytest

from fhir_server.interactions.steps import linking, walking

PATIENTS, OBSERVATIONS = 36, 90


@pytest.fixture(scope="module")
def fhir(site_with):
    def put(type_, id_, **content):
        return {
            "resource": {"resourceType": type_, "id": id_, **content},
            "request": {"method": "PUT", "url": f"{type_}/{id_}"},
        }

    def observed(number):
        if number % 10 == 9:  # the patient is inside
            inside = {
                "resourceType": "Patient",
                "id": "x",
                "gender": "female" if number % 20 == 9 else "male",
            }
            return {"contained": [inside], "subject": {"reference": "#x"}}
        target = f"Patient/p{number % PATIENTS}" if number % 7 else "Group/g"
        return {"subject": {"reference": target}}

    with site_with({"search.explain": True}) as site:
        entries = [
            put("Organization", "o", name="Clinic"),
            put("Group", "g", type="person", actual=True, code={"text": "all"}),
            *(
                put("Patient", f"p{n}", gender="female" if n % 3 else "male", name=[{"family": f"F{n % 2}"}],
                    managingOrganization={"reference": "Organization/o"})
                for n in range(PATIENTS)
            ),
            *(
                put("Observation", f"o{n}", status="final", effectiveDateTime=f"2024-01-{1 + n % 28:02d}",
                    code={"coding": [{"system": "urn:c", "code": f"c{n % 2}"}]}, **observed(n))
                for n in range(OBSERVATIONS)
            ),
        ]  # fmt: skip
        for start in range(0, len(entries), 20):  # several times of the last update
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries[start : start + 20]}
            assert site.post("fhir", json=bundle).status_code == 200
        yield lambda path: site.get(f"fhir/{path}")


@pytest.fixture
def little(monkeypatch):
    """Make most of it unselective, and batches small."""
    monkeypatch.setattr(linking, "MOST_KEYS", 8)
    monkeypatch.setattr(walking, "BATCH", 7)


def ids(bundle):
    return [e["resource"]["id"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]


def links(bundle):
    return {link["relation"]: link["url"].partition("/fhir/")[2] for link in bundle["link"]}


_NEWEST = "&_sort=-_lastUpdated"
QUERIES = [
    "Observation?subject:Patient.gender=female",
    "Observation?patient.gender=female&code=urn:c%7Cc1",
    "Observation?subject:Patient.gender=female&_sort=_lastUpdated",
    "Observation?subject:Patient.gender=female&_sort=_id",
    "Observation?subject:Patient.gender:not=female&status=final",
    "Observation?subject:Patient.gender=female&subject:Patient.family=F1",
    "Patient?_has:Observation:patient:code=urn:c%7Cc1",
    "Patient?_has:Observation:patient:status=final&gender=female",
    "Patient?_has:Observation:patient:code=urn:c%7Cc1&gender:not=male",
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("count", [3, 200])
def test_pages_of_the_walk_are_what_two_steps_find(fhir, query, count, monkeypatch):
    order = (
        "" if "_sort" in query else "&_sort=-date" if "urn:c%7Cc1" in query and query[0] == "O" else _NEWEST
    )
    expected = ids(fhir(f"{query}{order}&_count=1000").json())
    assert expected
    monkeypatch.setattr(linking, "MOST_KEYS", 8)
    monkeypatch.setattr(walking, "BATCH", 7)

    pages = [fhir(f"{query}&_count={count}").json()]
    while "next" in links(pages[-1]):
        pages.append(fhir(links(pages[-1])["next"]).json())
    found = [id_ for page in pages for id_ in ids(page)]
    assert found == expected
    assert all(len(ids(page)) <= count for page in pages)
    back = [pages[-1]]
    while "previous" in links(back[-1]):
        back.append(fhir(links(back[-1])["previous"]).json())
    assert [id_ for page in reversed(back) for id_ in ids(page)] == expected
    if count == 200:
        assert pages[0]["total"] == len(expected)


def test_the_self_link_tells_the_order_that_the_walk_made(fhir, little):
    assert "_sort=-_lastUpdated" in links(fhir("Observation?subject:Patient.gender=female").json())["self"]


def test_rare_matches_make_short_pages_that_say_so_and_lead_on(fhir, little, monkeypatch):
    monkeypatch.setattr(walking, "MOST_BATCHES", 2)
    bundle = fhir("Patient?_has:Observation:patient:code=urn:c%7Cc1&_count=20").json()
    assert len(ids(bundle)) < 14
    assert "next" in links(bundle)
    [outcome] = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
    assert "14 resources were looked at" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "query",
    [
        "Observation?subject:Patient.gender=female&_sort=code",
        "Observation?subject:Patient.gender=female&_summary=count",
        "Observation?subject:Patient.gender=female&_total=accurate",
    ],
)
def test_what_can_not_be_walked_is_refused_with_advice(fhir, little, query):
    answer = fhir(query)
    assert answer.status_code == 422
    issue = answer.json()["issue"][0]
    assert issue["code"] == "too-costly"
    assert "subject:Patient.gender" in issue["diagnostics"]
