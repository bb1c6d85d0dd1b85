"""history at its three levels: https://hl7.org/fhir/R4/http.html#history."""

from base64 import urlsafe_b64decode
from urllib.parse import parse_qs, urlsplit

import pytest


@pytest.fixture
def versions(fhir):
    """A Basic with the versions 1 (POST), 2 and 3 (PUT) and 4 (DELETE)."""
    body = {"resourceType": "Basic", "code": {"text": "1"}}
    first = fhir.post("Basic", json=body).json()
    made = [first]
    made += [
        fhir.put(f"Basic/{first['id']}", json={**first, "code": {"text": text}}).json() for text in ("2", "3")
    ]
    fhir.delete(f"Basic/{first['id']}")
    return made


def pages(fhir, path):
    """Follow the next links and return the entries of each page."""
    found = []
    while path:
        answer = fhir.get(path)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "history")
        found.append(bundle.get("entry", []))
        path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found


def test_the_history_of_an_instance_is_newest_first(fhir, versions):
    id_ = versions[0]["id"]
    [entries] = pages(fhir, f"Basic/{id_}/_history")
    assert [e["request"]["method"] for e in entries] == ["DELETE", "PUT", "PUT", "POST"]
    assert [e["response"]["etag"] for e in entries] == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
    assert "resource" not in entries[0]
    assert [e["resource"] for e in entries[1:]] == versions[::-1]
    assert {e["fullUrl"] for e in entries} == {f"{fhir.base_url}Basic/{id_}"}
    assert entries[3]["request"]["url"] == "Basic"
    assert entries[1]["response"]["lastModified"] == versions[2]["meta"]["lastUpdated"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_history_of_an_instance_pages(fhir, versions, count):
    found = pages(fhir, f"Basic/{versions[0]['id']}/_history?_count={count}")
    assert all(len(page) <= count for page in found)
    assert [e["response"]["etag"] for page in found for e in page] == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']


def test_since_leaves_out_older_versions(fhir, versions):
    since = versions[2]["meta"]["lastUpdated"]
    [entries] = pages(fhir, f"Basic/{versions[0]['id']}/_history?_since={since}")
    assert [e["response"]["etag"] for e in entries] == ['W/"4"', 'W/"3"']


@pytest.mark.parametrize("level", ["Basic/_history", "_history"])
def test_the_history_of_a_type_and_of_the_system_hold_every_version_once(fhir, versions, level):
    since = versions[0]["meta"]["lastUpdated"]
    found = [e for page in pages(fhir, f"{level}?_count=2&_since={since}") for e in page]
    own = [e for e in found if e["fullUrl"].endswith(versions[0]["id"])]
    assert [e["response"]["etag"] for e in own] == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
    moments = [e["response"]["lastModified"] for e in found]
    assert moments == sorted(moments, reverse=True)


def test_an_unknown_id_is_404(fhir):
    assert fhir.get("Basic/nobody/_history").status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "_count=x",
        "_count=-1",
        "_sort=status",
        "_sort=_lastUpdated,_id",
        "_at=yesterday",
        "_at=2023-02-31",
        "_list=$current-problems",
        "_list=a/b",
        "_since=2020-01-01&_since=2021-01-01",
        "_list=1&_list=2",
        "_since=yesterday",
        "_since=2023-02-31",
        "colour=red",
    ],
)
def test_bad_parameters_are_400(fhir, versions, query):
    answer = fhir.get(f"Basic/{versions[0]['id']}/_history?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["diagnostics"]


def test_page_links_are_sealed_for_their_place(fhir, versions):
    id_ = versions[0]["id"]
    [link] = [
        link["url"]
        for link in fhir.get(f"Basic/{id_}/_history?_count=1").json()["link"]
        if link["relation"] == "next"
    ]
    cursor = parse_qs(urlsplit(link).query)["_cursor"][0]
    assert id_.encode() not in urlsafe_b64decode(cursor + "==")
    assert fhir.get(link).status_code == 200
    for other in (f"Basic/{id_}/_history?_cursor=forged", f"_history?_cursor={cursor}"):
        answer = fhir.get(other)
        assert answer.status_code == 404
        assert "first page" in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("level", ["Basic/{id}/_history", "Basic/_history", "_history"])
def test_sort_at_and_count_at_all_levels(fhir, versions, level):
    id_ = versions[0]["id"]
    path = level.format(id=id_)
    third = versions[2]["meta"]["lastUpdated"]

    def own(query):
        found = [e for page in pages(fhir, f"{path}?{query}") for e in page]
        return [e["response"]["etag"] for e in found if e["fullUrl"].endswith(id_)]

    since = versions[0]["meta"]["lastUpdated"]
    assert own(f"_since={since}&_sort=_lastUpdated&_count=2") == ['W/"1"', 'W/"2"', 'W/"3"', 'W/"4"']
    assert own(f"_since={since}&_sort=-_lastUpdated") == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
    assert own(f"_at={third}&_since={since}") == ['W/"3"']
    assert own(f"_at={since}&_since={since}") == ['W/"1"']
    counted = fhir.get(f"{path}?_count=0&_since={since}").json()
    assert counted["total"] >= 4
    assert "entry" not in counted
    assert [link["relation"] for link in counted["link"]] == ["self"]


def test_count_0_of_an_instance_is_the_number_of_its_versions(fhir, versions):
    bundle = fhir.get(f"Basic/{versions[0]['id']}/_history?_count=0").json()
    assert bundle["total"] == 4


@pytest.mark.parametrize("level", ["Basic/{id}/_history", "Basic/_history", "_history"])
def test_a_list_names_resources_and_versions(fhir, versions, level):
    id_ = versions[0]["id"]
    path = level.format(id=id_)
    other = fhir.post("Basic", json={"resourceType": "Basic", "code": {"text": "other"}}).json()["id"]

    def told(*references):
        entries = [{"item": {"reference": reference}} for reference in references]
        body = {"resourceType": "List", "status": "current", "mode": "working", "entry": entries}
        made = fhir.post("List", json=body).json()["id"]
        found = [e for page in pages(fhir, f"{path}?_list={made}&_count=2") for e in page]
        assert fhir.get(f"{path}?_list=List/{made}&_count=0").json()["total"] == len(found)
        return [(e["fullUrl"].rpartition("/")[2], e["response"]["etag"][3:-1]) for e in found]

    own = [(id_, str(number)) for number in (4, 3, 2, 1)]
    assert told(f"Basic/{id_}") == own
    assert told(f"Basic/{id_}/_history/2", f"{fhir.base_url}Basic/{id_}/_history/4") == [own[0], own[2]]
    assert told(f"Patient/{id_}", f"http://elsewhere.example/Basic/{id_}", "Basic/none") == []
    more = [] if "{id}" in level else [(other, "1")]
    assert told(f"Basic/{id_}", f"Basic/{other}") == more + own
    assert "entry" not in fhir.get(f"{path}?_list=unknown").json()
