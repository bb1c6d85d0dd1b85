"""The life of a space and who reads then; several workers; documents without keys; what others would see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.security.test_consent import actor, consent, recorded
from tests.security.test_leaks import ids
from tests.security.world import observation

__all__ = ["recorded"]


@pytest.fixture
def state(mongo_client, module_database_name):
    """Return a function that puts a control document in place."""
    spaces = mongo_client[module_database_name]["spaces"]

    def put(name: str | None) -> None:
        row = {"st": name, "since": 1, "origin": "requested", "cohort": "", "notice": 0, "epoch": 1}
        spaces.delete_one({"_id": "A"})
        if name is not None:
            spaces.insert_one({"_id": "A", **row})

    yield put
    spaces.delete_one({"_id": "A"})


@pytest.mark.parametrize("name", ["opening-pending", "opposed", "closed", "erased"])
def test_C18_a_space_that_is_not_open(as_, state, name):
    state(name)
    for reader in ("gp", "app"):
        assert as_(reader).get("Observation/a1").status_code == 404
        assert "a1" not in ids(as_(reader).get("Observation?_count=1000"))
        assert as_(reader).get("Observation?_summary=count").json()["total"] == 0
    assert as_("A").get("Observation/a1").status_code == 200
    refused = as_("lab").post("Observation", json=observation("A"))
    assert refused.status_code == 403
    assert refused.content == as_("gp").post("Observation", json=observation("A")).content
    state("open")
    assert as_("gp").get("Observation/a1").status_code == 200
    assert as_("lab").post("Observation", json=observation("A")).status_code == 201


SECOND = """
import sys, time
from pathlib import Path
from tests.conftest import serving
from tests.security.personas import Tokens
uri, name, folder = sys.argv[1:]
with serving({"mongodb.uri": uri, "mongodb.database": name, "data.dir": Path(folder)}, Tokens()) as client:
    print(client.base_url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def second(smart, mongod_uri, module_database_name, tmp_path_factory):
    """The base URL of a second worker: another process on the same database."""
    root = Path(__file__).resolve().parents[2]
    arguments = [
        sys.executable,
        "-c",
        SECOND,
        mongod_uri,
        module_database_name,
        str(tmp_path_factory.mktemp("second")),
    ]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(arguments, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait()


def test_C20_a_consent_holds_in_the_other_process_at_once(as_, recorded, second):
    with httpx.Client(base_url=f"{second}/fhir", headers={"Authorization": "Bearer gp"}, timeout=30) as other:
        assert other.get("/Observation/a1").status_code == 200
        for _ in range(5):
            made = as_("A").post(
                "Consent", json=consent({"type": "deny", "actor": [actor("Practitioner/gp")]})
            )
            # the very next request of the other process, long within a second
            assert other.get("/Observation/a1").status_code == 404
            assert "a1" not in ids(other.get("/Observation?_count=1000"))
            assert as_("A").delete(f"Consent/{made.json()['id']}").status_code == 204
            assert other.get("/Observation/a1").status_code == 200


def test_L68_reindex_gives_keys_to_what_has_none(as_, mongo_client, module_database_name):
    database = mongo_client[module_database_name]
    id_ = as_("lab").post("Observation", json=observation("A")).json()["id"]
    changed = observation("A", id_, issued="2026-01-01T00:00:00Z")
    assert as_("lab").put(f"Observation/{id_}", json=changed).status_code == 200
    old = as_("A").post("Observation", json=observation("A")).json()["id"]
    database["Observation"].update_one({"_id": id_}, {"$unset": {"_sec": ""}})
    database["history"].update_many({"t": "Observation", "id": id_}, {"$unset": {"_sec": ""}})
    database["Observation"].update_one({"_id": old}, {"$set": {"_sec.ver": 1}})
    for path in (f"Observation/{id_}", f"Observation/{id_}/_history/1", f"Observation/{old}"):
        assert as_("A").get(path).status_code == 404
    assert as_("A").get("$reindex").status_code == 403
    left = {
        row["name"]: row.get("valueInteger") for row in as_("operator").get("$reindex").json()["parameter"]
    }
    assert left["left"] >= 3
    done = as_("operator").post("$reindex").json()["parameter"]
    assert {row["name"]: row.get("valueInteger") for row in done}["left"] == 0
    for path in (f"Observation/{id_}", f"Observation/{id_}/_history/1", f"Observation/{old}"):
        assert as_("A").get(path).status_code == 200, path
    assert as_("gp").get(f"Observation/{id_}").status_code == 200


def parameters(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {row["name"]: row for row in answer.json()["parameter"]}


def steps(answer: Any) -> dict[str, bool]:
    found = {}
    for row in answer.json()["parameter"]:
        if row["name"] == "step":
            parts = {part["name"]: part for part in row["part"]}
            found[parts["name"]["valueCode"]] = parts["holds"]["valueBoolean"]
    return found


def test_explain_says_what_somebody_would_see_and_why(as_, recorded):
    made = recorded(consent({"type": "deny", "actor": [actor("Practitioner/gp")],
                             "data": [{"meaning": "instance", "reference": {"reference": "Observation/a1"}}]}))  # fmt: skip
    address = "Consent/$explain?actor=Practitioner/gp&resource=Observation/"
    hidden, open_ = as_("A").get(f"{address}a1"), as_("A").get(f"{address}a2")
    assert parameters(hidden)["resource"]["part"][1] == {"name": "seen", "valueBoolean": False}
    assert parameters(open_)["resource"]["part"][1] == {"name": "seen", "valueBoolean": True}
    assert parameters(hidden)["sees"]["valueCode"] == "part"
    assert steps(hidden)["consent"]
    assert not steps(open_)["consent"]
    assert f"Consent/{made}" in hidden.text
    nobody = as_("A").get("Consent/$explain?actor=Practitioner/n")
    assert parameters(nobody)["sees"]["valueCode"] == "nothing"
    assert parameters(as_("A").get("Consent/$explain?actor=Practitioner/n&purpose=HPAYMT"))["step"]["part"][0] == {
        "name": "name", "valueCode": "law"}  # fmt: skip
    assert (
        parameters(as_("A").get("Consent/$explain?actor=Practitioner/n&emergency=BTG"))["sees"]["valueCode"]
        != "nothing"
    )


def test_explain_agrees_with_what_is_seen(as_):
    for name, reference in (("gp", "Practitioner/gp"), ("N", "Practitioner/n"), ("X", "Practitioner/x")):
        answer = as_("A").get(f"Consent/$explain?actor={reference}&resource=Observation/a1")
        seen = parameters(answer)["resource"]["part"][1]["valueBoolean"]
        assert seen is (as_(name).get("Observation/a1").status_code == 200)


def test_what_others_see_is_the_citizens_own_matter(as_):
    for name in ("B", "gp", "app", "N", "insurer", "auditor", "parent"):
        assert as_(name).get("Consent/$explain?actor=Practitioner/gp&patient=Patient/A").status_code == 403
        assert as_(name).get("Patient/A/$who-can-see").status_code == 403
    assert as_("A").get("Consent/$explain?actor=Practitioner/gp&patient=B").status_code == 403
    assert as_("A").get("Patient/B/$who-can-see").content == as_("A").get("Patient/zz/$who-can-see").content
    assert as_("A").get("Consent/$explain?actor=gp").status_code == 400
    assert as_("A").get("Consent/$explain?actor=Practitioner/gp&resource=Observation/b1").status_code == 404
    assert as_("A").get("Consent/$explain?actor=Practitioner/gp&resource=Observation/zz").status_code == 404


def test_who_can_see(as_, recorded):
    recorded(consent({"type": "deny", "actor": [actor("Practitioner/x")]}))
    recorded(consent({"type": "permit", "actor": [actor("Practitioner/n")], "class": [
        {"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}))  # fmt: skip
    answer = as_("A").get("Patient/A/$who-can-see?resource=Observation/a1")
    found = {}
    for row in answer.json()["parameter"]:
        parts = {part["name"]: part for part in row["part"]}
        found[parts["who"]["valueReference"]["reference"]] = (
            parts["sees"]["valueCode"], parts["resource"]["valueBoolean"])  # fmt: skip
    assert found["Practitioner/x"] == ("nothing", False)
    assert found["Practitioner/n"] == ("part", True)
    assert found["Practitioner/gp"][1]
    assert "Practitioner/nurse" not in found


def test_L16_pages_are_full_of_own_rows(as_):
    for n in range(6):
        assert (
            as_("operator")
            .put(f"Observation/p{n}", json=observation("AB"[n % 2], f"p{n}", mark=""))
            .status_code
            == 201
        )
    seen: list[str] = []
    url: str | None = "Observation?_count=2&_include=Observation:subject"
    while url:
        answer = as_("A").get(url).json()
        rows = [e["resource"] for e in answer.get("entry", ()) if e["search"]["mode"] == "match"]
        assert all(row["subject"]["reference"] == "Patient/A" for row in rows)
        seen += [row["id"] for row in rows]
        url = next((link["url"] for link in answer["link"] if link["relation"] == "next"), None)
        assert len(rows) == 2 or url is None
    assert len(seen) == len(set(seen)) == as_("A").get("Observation?_summary=count").json()["total"]


def test_L33_one_visible_and_one_hidden_match(as_):
    both = [{"system": "urn:x", "value": "in both"}]
    for who in ("A", "B"):
        made = as_("operator").put(
            f"Observation/both{who}", json=observation(who, f"both{who}", identifier=both)
        )
        assert made.status_code == 201
    changed = observation("A", identifier=both, issued="2026-01-01T00:00:00Z")
    answer = as_("everything app").put("Observation?identifier=urn:x|in both", json=changed)
    assert (
        answer.status_code == 403
    )  # it is there, and others deposited it: the hidden one is no second match
    assert as_("lab").put("Observation?identifier=urn:x|in both", json=changed).status_code != 412
    assert as_("B").get("Observation/bothB").json()["meta"]["versionId"] == "1"


def test_L49_a_list_of_two_patients_is_hidden_from_both(as_):
    mixed = {
        "resourceType": "List", "id": "mixed", "status": "current", "mode": "working", "subject": {"reference": "Patient/A"},
        "source": {"reference": "Patient/B"},
    }  # fmt: skip
    assert as_("operator").put("List/mixed", json=mixed).status_code == 201
    for name in ("A", "B"):
        assert as_(name).get("List/mixed").status_code == 404
        assert "mixed" not in ids(as_(name).get("List"))


def test_L56_L57_L60_scopes(as_):
    assert ids(as_("two").get("Observation?_id=a1,a2")) == {"a2"}
    assert as_("v1").get("Observation/a1").status_code == 200
    assert as_("v1").post("Observation", json=observation("A")).status_code == 403
    assert as_("v1 writer").get("Observation/a1").status_code == 403
    assert as_("v1 writer").post("Observation", json=observation("A")).status_code == 201
    assert as_("mixed").get("Observation/b1").status_code == 404
    assert as_("mixed").get("Condition").status_code == 403


@pytest.mark.parametrize("query", ["_source=x", "_security=R", "_profile=x", "_tag=x", "_lastUpdated=gt2000"])
def test_L63_meta_of_hidden_rows(as_, query):
    assert ids(as_("A").get(f"Observation?{query}&_id=b1")) == set()


def test_L67_each_gets_the_own_figure(as_):
    def total(name: str) -> int:
        return as_(name).get("Observation?_total=accurate&_count=0").json()["total"]

    first, other, again = total("A"), total("B"), total("A")
    assert first == again
    assert first != other


def test_L42_L43_references_to_hidden_and_absent_targets_are_refused_alike(as_):
    def sent(reference: str) -> Any:
        return as_("A").post("Observation", json=observation("A", hasMember=[{"reference": reference}]))

    hidden, absent = sent("Observation/b1"), sent("Observation/zz")
    assert hidden.status_code == absent.status_code
    assert (
        hidden.text.replace("b1", "ID").partition('"id"')[0]
        == absent.text.replace("zz", "ID").partition('"id"')[0]
    )
