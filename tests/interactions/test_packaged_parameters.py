"""SearchParameters of installed packages take effect like stored ones, over HTTP."""

from __future__ import annotations

import io
import json
import tarfile
import time

import pytest

from fhir_server.definitions.packages import Package, PackageStore, search_parameters

URL = "https://example.org/SearchParameter/"


def parameter(code, url="", **more):
    return {
        "resourceType": "SearchParameter", "id": code, "url": URL + (url or code), "version": "1.0.0", "name": "Own",
        "status": "active", "description": "A parameter of a package.", "code": code, "base": ["Patient"],
        "type": "token", "expression": "Patient.multipleBirth.as(boolean)", **more,
    }  # fmt: skip


def archive(path, *resources):
    manifest = {"name": "own.parameters", "version": "1.0.0", "fhirVersions": ["4.0.1"]}
    files = {"package.json": manifest, **{f"SearchParameter-{n}.json": r for n, r in enumerate(resources)}}
    with tarfile.open(path, "w:gz") as out:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            data = json.dumps(content).encode()
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return path


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def ids(site, **query):
    answer = site.get("/fhir/Patient", params=query)
    assert answer.status_code == 200, answer.text
    return {e["resource"]["id"] for e in answer.json().get("entry", ())}


def advertised(site):
    rest = site.get("/fhir/metadata").json()["rest"][0]
    [patient] = [r for r in rest["resource"] if r["type"] == "Patient"]
    return {p["name"]: p.get("definition") for p in patient["searchParam"]}


@pytest.fixture
def packages(tmp_path):
    """The folder of a server's packages, in which one is installed as the command does it."""
    source = archive(
        tmp_path / "own.tgz",
        parameter("twin"),
        parameter("gender", url="another-gender"),
        parameter("twin", url="second-twin", expression="Patient.deceased.as(boolean)"),
        parameter("draft", status="draft"),
        parameter("broken", expression="Patient.(("),
    )
    store = PackageStore(tmp_path / "packages")
    store.install(str(source))
    return store.folder


def test_they_are_indexed_advertised_and_give_way_to_stored_ones(site_with, packages):
    twin = {"resourceType": "Patient", "multipleBirthBoolean": True}
    with site_with({}) as site:
        assert site.put("/fhir/Patient/older", json={**twin, "id": "older"}).status_code == 201
        assert site.get("/fhir/Patient?twin=true").status_code == 400
    with site_with({"packages.dir": packages}) as site:
        assert (
            site.put("/fhir/Patient/newer", json={**twin, "id": "newer", "deceasedBoolean": True}).status_code
            == 201
        )
        until(lambda: site.get("/fhir/Patient?twin=true").status_code == 200)
        assert ids(site, twin="true") == {"older", "newer"}
        assert ids(site, twin="false") == set()
        known = advertised(site)
        assert known["twin"] == URL + "twin"
        # R4's own keeps its name; what isn't active or can't be read does nothing.
        assert known["gender"] == "http://hl7.org/fhir/SearchParameter/individual-gender"
        assert not {"draft", "broken"} & known.keys()
        jobs = site.get("/fhir/SearchParameter/$reindex").json()["parameter"]
        assert [
            p["valueReference"]["identifier"]["value"]
            for j in jobs
            for p in j["part"]
            if p["name"] == "parameter"
        ] == [URL + "twin"]
        # A stored one with the same URL takes its place, and leaves it again.
        own = parameter("twin", expression="Patient.deceased.as(boolean)")
        assert site.put("/fhir/SearchParameter/twin", json=own).status_code == 201
        until(
            lambda: (
                site.get("/fhir/Patient?twin=true").status_code == 200 and ids(site, twin="true") == {"newer"}
            )
        )
        assert site.delete("/fhir/SearchParameter/twin").status_code in (200, 204)
        until(
            lambda: (
                site.get("/fhir/Patient?twin=true").status_code == 200
                and ids(site, twin="true") == {"older", "newer"}
            )
        )
    with site_with({}) as site:  # without the package it is gone
        assert site.get("/fhir/Patient?twin=true").status_code == 400


def test_the_newest_version_of_a_url_counts():
    def package(version, code):
        return Package("p", version, {}, (parameter(code, url="x", version=version),))

    [found] = search_parameters(
        [package("1.9.0", "old"), package("1.10.0", "new"), package("1.2.0", "older")]
    )
    assert found["code"] == "new"
