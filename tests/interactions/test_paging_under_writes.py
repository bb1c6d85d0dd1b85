"""Pages while others write: no match twice, and none missing of those that are there throughout.

https://hl7.org/fhir/R4/http.html#paging
"""

import itertools
import os
import threading

import httpx
import pytest

#: Results that are paged through; the release is tried with 5000.
RESULTS = int(os.environ.get("PAGED_RESULTS", "600"))
WRITERS = 10
COUNT = 40


def observation(id_, number, value=1):
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "urn:paged", "code": "p"}]},
        "subject": {"reference": "Patient/paged"},
        "effectiveDateTime": f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}T{number % 24:02d}:00:00Z",
        "valueInteger": value,
    }


@pytest.fixture(scope="module")
def paged(site_with):
    with site_with({}) as site:
        for start in range(0, RESULTS, 500):
            entries = [
                {
                    "resource": observation(f"there-{n}", n),
                    "request": {"method": "PUT", "url": f"Observation/there-{n}"},
                }
                for n in range(start, min(start + 500, RESULTS))
            ]
            answer = site.post(
                "fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}
            )
            assert answer.status_code == 200, answer.text[:500]
        yield site


def write(base, seed, has_ended, written):
    """Insert, and update what is there; the keys of the order stay, so that nothing moves past the scan."""
    with httpx.Client(base_url=base, timeout=60) as client:
        for number in itertools.count():
            if has_ended.is_set():
                return
            fixed = (seed + number * WRITERS) % RESULTS
            own = f"own-{seed}-{number // 2}"
            for id_, date in ((f"there-{fixed}", fixed), (own, number // 2 * 7 + seed)):
                answer = client.put(f"fhir/Observation/{id_}", json=observation(id_, date, number))
                assert answer.status_code in (200, 201), answer.text
            written.append(number)


def follow(site, path, relation):
    """Return the ids of each page."""
    pages = []
    while path is not None:
        bundle = site.get(path).json()
        pages.append([entry["resource"]["id"] for entry in bundle.get("entry", ())])
        assert len(pages[-1]) <= COUNT
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        path = links.get(relation)
    return pages


@pytest.mark.parametrize(
    "query", ["patient=Patient/paged", "code=urn:paged%7Cp", "code=p", "_sort=_id&patient=paged"]
)
def test_a_scan_among_ten_writers_shows_each_match_once(paged, query):
    has_ended = threading.Event()
    written = []
    writers = [
        threading.Thread(target=write, args=(paged.base_url, seed, has_ended, written))
        for seed in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    try:
        first = f"fhir/Observation?{query}&_count={COUNT}"
        links = {link["relation"]: link["url"] for link in paged.get(first).json()["link"]}
        forwards = follow(paged, first, "next")
        backwards = follow(paged, links["last"], "previous") if "last" in links else []
    finally:
        has_ended.set()
        for writer in writers:
            writer.join()
    assert len(written) >= WRITERS
    for pages in (forwards, backwards) if backwards else (forwards,):
        found = [id_ for page in pages for id_ in page]
        assert len(found) == len(set(found))
        assert sum(id_.startswith("there-") for id_ in found) == RESULTS


def test_links_survive_a_restart_and_another_worker(site_with, tmp_path):
    flags = {"data.dir": tmp_path}
    with site_with(flags) as site:
        for n in range(4):
            site.put(f"fhir/Basic/b{n}", json={"resourceType": "Basic", "id": f"b{n}", "code": {"text": "x"}})
        bundle = site.get("fhir/Basic?_count=2&_sort=_id").json()
        path = {link["relation"]: link["url"].partition("/fhir/")[2] for link in bundle["link"]}["next"]
        with site_with(flags) as other:
            found = other.get(f"fhir/{path}").json()["entry"]
    with site_with(flags) as later:
        assert later.get(f"fhir/{path}").json()["entry"][0]["resource"]["id"] == "b2"
    assert [entry["resource"]["id"] for entry in found] == ["b2", "b3"]
