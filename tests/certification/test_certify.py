"""``fhir-server conformance certify`` as a vendor uses it: real clients go through the proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("FHIR_", "CONFORMANCE_"))
}
FHIR = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}
#: A JWT that ended in 2020.
OLD = "eyJhIjoxfQ.eyJleHAiOiAxNjAwMDAwMDAwfQ.signature"


@contextmanager
def certifying(out, *options):
    """Give the proxy's base and a list that gets (exit code, standard output) when the client is idle."""
    command = [sys.executable, "-m", "fhir_server", "conformance", "certify", "--client", "--port", "0",
               "--until-idle", "1", "--out", str(out), *map(str, options)]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    line = process.stderr.readline()
    assert "Point the client at" in line, line + process.stderr.read()
    ended = []
    yield line.split()[-1], ended
    said, _ = process.communicate(timeout=120)
    ended += [process.returncode, said]


def broken(out):
    run = json.loads((out / "results.json").read_text())
    return {
        s["name"]
        for s in run["scripts"]
        if any(st["result"] in ("fail", "warning") for p in s["phases"] for st in p["steps"])
    }


def good(base):
    """Read a record as a careful client does."""
    with httpx.Client(headers={"Accept": "application/fhir+json"}) as client:
        client.get(f"{base}/metadata").raise_for_status()
        patient = client.post(f"{base}/Patient", json={"resourceType": "Patient"}, headers=FHIR).json()
        subject = {"reference": f"Patient/{patient['id']}"}
        for _ in range(3):
            body = {"resourceType": "Condition", "subject": subject, "code": {"text": "x"},
                    "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}}  # fmt: skip
            client.post(f"{base}/Condition", json=body, headers=FHIR).raise_for_status()
        url, seen = f"{base}/Condition?patient={patient['id']}&_count=2", 0
        while url:
            page = client.get(url).raise_for_status().json()
            seen += len(page["entry"])
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
        assert seen == 3
        assert client.get(f"{base}/Patient/none").status_code == 404
        found = client.get(f"{base}/Patient/{patient['id']}")
        headers = {**FHIR, "If-Match": found.headers["ETag"]}
        client.put(
            f"{base}/Patient/{patient['id']}", json={**found.json(), "active": True}, headers=headers
        ).raise_for_status()
        refused = client.get(f"{base}/Patient/{patient['id']}", headers={"X-Sandbox-Fault": "503"})
        time.sleep(int(refused.headers["Retry-After"]))
        client.get(f"{base}/Patient/{patient['id']}").raise_for_status()


def bad(base):
    """Make each mistake that a client can make against a server."""
    with httpx.Client() as client:
        client.get(f"{base}/patient/1", headers=FHIR)
        client.get(f"{base}/Patient/1")  # any format
        patient = client.post(f"{base}/Patient", json={"resourceType": "Patient"}).json()  # application/json
        own = f"{base}/Patient/{patient['id']}"
        client.get(own, headers=FHIR)
        client.put(own, json={**patient, "active": True}, headers=FHIR)  # no If-Match
        client.put(own, json=patient, headers={**FHIR, "If-Match": "1"})
        for _ in range(2):
            client.put(own, json=patient, headers={**FHIR, "If-Match": 'W/"1"'})  # the conflict isn't read
        client.put(own, json={"resourceType": "Patient"}, headers=FHIR)
        client.post(
            f"{base}/Patient", json={"resourceType": "Patient"}, headers={**FHIR, "Prefer": "return=all"}
        )
        client.post(
            f"{base}/Patient", json={"resourceType": "Patient"}, headers={**FHIR, "If-None-Exist": "?_id=x"}
        )
        client.post(f"{base}/Patient", content="{", headers=FHIR)
        client.post(
            f"{base}/Patient",
            content="{}",
            headers={**FHIR, "Content-Type": "application/fhir+json; charset=latin-1"},
        )
        body = {"resourceType": "Patient", "foo": 1, "gender": "man", "generalPractitioner": [{"reference": "Dr X"}],
                "meta": {"profile": ["https://x.example/unknown"]},
                "maritalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "OTH"}]}}  # fmt: skip
        client.post(f"{base}/Patient", json=body, headers=FHIR)
        client.post(f"{base}/Observation", headers=FHIR, json={
            "resourceType": "Observation", "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"]}, "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/nobody"}})  # fmt: skip
        client.post(f"{base}/Condition", headers=FHIR, json={
            "resourceType": "Condition", "code": {"text": "x"}, "subject": {"reference": "Patient/nobody"}})  # fmt: skip
        client.get(f"{base}/Patient?nam=x&access_token={OLD}", headers=FHIR)
        client.get(f"{base}/Patient?identifier=222039910001272", headers=FHIR)
        client.get(f"{base}/Patient?_count=1&page=2", headers=FHIR)
        client.get(own, headers={**FHIR, "X-Sandbox-Fault": "503; seconds=9"})
        client.get(own, headers=FHIR)  # at once
        for _ in range(3):
            client.get(f"{base}/Patient/nobody", headers=FHIR)
        client.get(own, headers={**FHIR, "Authorization": "Basic eDp5"})
        for _ in range(2):
            headers = {**FHIR, "Authorization": f"Bearer {OLD}", "X-Sandbox-Fault": "expired-token"}
            client.get(own, headers=headers)


def test_a_careful_client_passes(tmp_path):
    with certifying(tmp_path, "--role", "reader", "--name", "Careful 1.0") as (base, ended):
        good(base)
    code, said = ended
    assert (code, said.splitlines()[-1].rpartition(": ")[2]) == (0, "pass"), said
    assert broken(tmp_path) == set()
    assert "Careful 1.0" in (tmp_path / "report.html").read_text()


def test_each_mistake_is_found_and_no_token_is_shown(tmp_path):
    with certifying(tmp_path, "--role", "reader") as (base, ended):
        bad(base)
    code, said = ended
    assert (code, said.splitlines()[-1].rpartition(": ")[2]) == (1, "no pass")
    wanted = {
        "url-form", "body-fits-url", "no-secret-in-url", "no-identifier-in-url", "content-type", "charset", "accept",
        "prefer", "version-form", "update-version", "if-none-exist", "search-parameter", "paging", "body-readable",
        "resource-valid", "profile-kept", "profile-known", "terminology", "reference-form", "reference-resolves",
        "retry-after", "conflict", "refused-again", "bearer", "token-in-time", "token-replaced", "role-reader",
    }  # fmt: skip
    assert wanted - broken(tmp_path) == set()
    for file in tmp_path.iterdir():
        assert OLD not in file.read_text(), file
    junit = (tmp_path / "junit.xml").read_text()
    assert 'testsuite name="paging"' in junit
    report = (tmp_path / "report.html").read_text()
    assert "To mend: Send the token as Authorization: Bearer." in report
    assert "https://hl7.org/fhir/R4/http.html#paging" in report


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--role", "nobody"), 2),
        (("--report", "pdf"), 2),
        (("--base", "server"), 2),
        (("--profile", "Patient"), 2),
        (("--base", "http://127.0.0.1:1/fhir"), 3),
    ],
)
def test_exit_codes(options, code):
    command = [
        sys.executable,
        "-m",
        "fhir_server",
        "conformance",
        "certify",
        "--client",
        "--port",
        "0",
        *options,
    ]
    assert (
        subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=60, check=False).returncode
        == code
    )
