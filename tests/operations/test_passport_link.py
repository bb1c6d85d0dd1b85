"""Patient/[id]/$passport-link and the page behind a link, over HTTP."""

from __future__ import annotations

import base64
import itertools
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

_numbers = itertools.count(1)
READER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def patient(fhir):
    id_ = f"linked-{next(_numbers)}"
    body = {"resourceType": "Patient", "id": id_, "name": [{"family": "EXEMPLE", "given": ["Lou"]}]}
    assert fhir.put(f"Patient/{id_}", json=body).status_code == 201
    return id_


def make(fhir, patient, **given):
    kinds = {"hours": "valueInteger"}
    rows = [{"name": name, kinds.get(name, "valueString"): value} for name, value in given.items()]
    return fhir.post(
        f"Patient/{patient}/$passport-link", json={"resourceType": "Parameters", "parameter": rows}
    )


def links(answer):
    assert answer.status_code == 200, answer.text
    return [
        {part["name"]: part[next(key for key in part if key != "name")] for part in row["part"]}
        for row in answer.json().get("parameter", ())
    ]


def reading(url, pin=None, **headers):
    if pin is None:
        return httpx.get(url, headers={**READER, **headers})
    return httpx.post(url, data={"pin": pin}, headers={**READER, **headers})


def test_a_link_without_pin_shows_the_passport_in_two_languages(fhir, patient):
    [link] = links(make(fhir, patient, language="fr"))
    assert base64.b64decode(link["qr"]["data"]).startswith(b"<svg")
    page = reading(link["url"])
    assert page.status_code == 200
    assert "EXEMPLE" in page.text
    assert page.text.index("Passeport médical") < page.text.index("Medical passport")
    assert "no-store" in page.headers["cache-control"]
    assert "script" not in page.headers["content-security-policy"]
    bundle = reading(link["url"], Accept="application/fhir+json").json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "document")
    [told] = links(fhir.get(f"Patient/{patient}/$passport-link"))
    assert told == {"id": link["id"], "expires": link["expires"], "pin": False, "uses": 2}


def test_a_pin_is_asked_for_and_five_wrong_ones_end_the_link(fhir, patient):
    [link] = links(make(fhir, patient, pin="2468"))
    asked = reading(link["url"])
    assert asked.status_code == 200
    assert "EXEMPLE" not in asked.text
    assert "PIN" in asked.text
    assert reading(link["url"], "1111").status_code == 404
    assert "EXEMPLE" in reading(link["url"], "2468").text
    with ThreadPoolExecutor(5) as pool:
        wrong = list(pool.map(lambda n: reading(link["url"], f"999{n}").status_code, range(5)))
    assert wrong == [404] * 5
    assert reading(link["url"], "2468").status_code == 404
    assert links(fhir.get(f"Patient/{patient}/$passport-link")) == []


def test_a_revoked_link_and_an_unknown_one_look_alike(fhir, patient):
    [link] = links(make(fhir, patient))
    assert links(make(fhir, patient, revoke=link["id"])) == []
    assert make(fhir, patient, revoke=link["id"]).status_code == 404
    unknown = link["url"].rpartition("/")[0] + "/" + "x" * 43
    assert (reading(link["url"]).status_code, reading(link["url"]).text) == (404, reading(unknown).text)


def test_a_link_ends(fhir, patient, mongo_client, site):
    [link] = links(make(fhir, patient, hours=1))
    for name in mongo_client.list_database_names():
        from datetime import UTC, datetime

        mongo_client[name]["oauth"].update_many(
            {"id": link["id"]}, {"$set": {"until": datetime(2020, 1, 1, tzinfo=UTC)}}
        )
    assert reading(link["url"]).status_code == 404


def test_a_closed_space_is_closed_to_links_too(fhir, patient):
    [link] = links(make(fhir, patient))
    assert fhir.post(f"Patient/{patient}/$open-space").status_code == 200
    assert reading(link["url"]).status_code == 200
    assert fhir.post(f"Patient/{patient}/$close-space").status_code == 200
    assert reading(link["url"]).status_code == 404


def test_who_signed_in_is_no_reader_of_links(fhir, patient):
    [link] = links(make(fhir, patient))
    assert reading(link["url"], Authorization="Bearer x").status_code == 403


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"pin": "123"}, 400),
        ({"pin": "12 45"}, 400),
        ({"hours": 0}, 400),
        ({"hours": 169}, 400),
        ({"sections": "binaries"}, 400),
        ({"language": "de"}, 400),
        ({"revoke": "nothing"}, 404),
    ],
)
def test_what_no_link_is_made_of(fhir, patient, given, status):
    assert make(fhir, patient, **given).status_code == status
    assert fhir.get(f"Patient/{patient}/$passport-link?pin=1234").status_code == 400


def test_a_link_of_nobody(fhir):
    assert make(fhir, "nobody").status_code == 404
