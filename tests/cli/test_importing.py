"""``fhir-server import reimbursements`` against a running server."""

from __future__ import annotations

import csv
import json
import stat

import httpx
import pytest
from typer.testing import CliRunner

from fhir_server.cli.program import program
from fhir_server.datatypes.json_format import encode
from fhir_server.demo import persons
from fhir_server.demo.identities import rpps, with_key
from tests.space.test_feed import AMOUNTS, CASES, HEAD

SYSTEM = "urn:oid:1.2.250.1.213.1.4.10"
INS = with_key("2220399000001")


@pytest.fixture(scope="module")
def base(site_with):
    with site_with({"content.load": True, "space.enforce": True}) as site:
        base = str(site.base_url.join("fhir"))
        people = [
            persons.patient("open", INS, family="EXEMPLE", given=["Lou"], gender="female", born=_born(),
                            identity=persons.INS_TEST, active=False),
            persons.patient("closed", with_key("2220399000002"), family="EXEMPLE", given=["Li"], gender="female",
                            born=_born(), identity=persons.INS_TEST, active=False),
            persons.organization("fund", ("https://finess.esante.gouv.fr", "750000000"), name="Caisse",
                                 sector=("SA24", "Organisme de sécurité sociale")),
            persons.practitioner("doctor", rpps(77), family="MODELE", given="Alice", profession=("10", "Médecin")),
        ]  # fmt: skip
        for one in people:
            answer = httpx.put(
                f"{base}/{one['resourceType']}/{one['id']}",
                content=encode(one),
                headers={"Content-Type": "application/fhir+json"},
            )
            assert answer.status_code == 201, answer.text
        assert httpx.post(f"{base}/Patient/open/$open-space").status_code == 200
        yield base


def _born():
    from datetime import date

    return date(2022, 3, 4)


def rows(*names, **change):
    return [
        {**HEAD, "patient": INS, "patient_system": SYSTEM, "provider": rpps(77), "statement": f"S-{name}",
         **dict(zip(AMOUNTS, CASES[name], strict=True)), **change}
        for name in names
    ]  # fmt: skip


def table(path, lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(lines)
    return path


def run(base, path, *more):
    return CliRunner().invoke(
        program, ["import", "reimbursements", str(path), "--base", base, "--quiet", *map(str, more)]
    )


def held(base):
    found = httpx.get(f"{base}/ExplanationOfBenefit?_count=100&_total=accurate").json()
    return found["total"]


def test_the_worked_cases_are_stored_once(base, tmp_path):
    before = held(base)
    path = table(tmp_path / "month.csv", rows(*CASES))
    first, second = run(base, path), run(base, path)
    assert (first.exit_code, first.stdout) == (0, "11 stored, 0 there already, 0 rejected\n")
    assert (second.exit_code, second.stdout) == (0, "0 stored, 11 there already, 0 rejected\n")
    assert held(base) == before + 11
    found = httpx.get(f"{base}/ExplanationOfBenefit?identifier=S-A").json()["entry"][0]["resource"]
    assert found["patient"] == {"reference": "Patient/open"}
    assert found["provider"] == {"reference": "Practitioner/doctor"}
    changed = run(base, table(path, rows("A", price="50.00", excess="20.00", left="30.00")))
    assert (changed.exit_code, changed.stdout[:36]) == (1, "0 stored, 0 there already, 1 rejecte")
    assert "says something else" in (tmp_path / "month.csv.rejected.ndjson").read_text()


def test_rejected_lines_are_reported_with_their_reasons(base, tmp_path):
    lines = [
        *rows("B", statement="R-1"),
        *rows("C", statement="R-2", fund="16.56"),
        *rows("D", statement="R-2"),
        *rows("E", statement="R-3", patient="222039900000299"),
        *rows("F", statement="R-4", patient=with_key("2220399000002")),
    ]
    path = table(tmp_path / "month.csv", lines)
    with path.open("a", encoding="utf-8") as file:
        file.write("broken;line\n")
    found = run(base, path)
    report = tmp_path / "month.csv.rejected.ndjson"
    assert found.exit_code == 1
    assert found.stdout == f"1 stored, 0 there already, 4 rejected (5 lines: {report})\n"
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(one["line"], one["statement"]) for one in told] == [
        (3, "R-2"), (4, "R-2"), (5, "R-3"), (6, "R-4"), (7, ""),
    ]  # fmt: skip
    assert told[0]["reasons"] == ["fund is 16.56, but 26.50 x 70 % - 2 comes to 16.55."]
    assert told[1]["reasons"] == ["Another row of this statement is wrong."]
    assert "no resource matches" in told[2]["reasons"][0]
    assert "not open" in told[3]["reasons"][0]
    assert "2 cells" in told[4]["reasons"][0]
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_ndjson_with_a_mapping_goes_on_where_it_stopped(base, tmp_path):
    path = tmp_path / "month.ndjson"
    stated = [*rows("G", statement="N-1", holder_number="1"), *rows("H", statement="N-2", holder_number="1")]
    path.write_text("".join(json.dumps({"acte": one}) + "\n" for one in stated))
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps({"columns": {name: f"acte.{name}" for name in stated[0]}}))
    state = tmp_path / "state"
    first = run(base, path, "--mapping", mapping, "--resume", state)
    assert first.stdout == "2 stored, 0 there already, 0 rejected\n"
    again = run(base, path, "--mapping", mapping, "--resume", state)
    assert again.stdout == "0 stored, 0 there already, 2 done before, 0 rejected\n"


def test_a_dry_run_sends_nothing(base, tmp_path):
    before = held(base)
    found = run("http://127.0.0.1:9/fhir", table(tmp_path / "f.csv", rows("I", statement="D-1")), "--dry-run")
    assert (found.exit_code, found.stdout) == (0, "1 right, 0 rejected\n")
    assert held(base) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["absent.csv"], 2), ([], 2), (["there.csv", "--mapping", "bad.json"], 2), (["there.csv"], 3)],
)
def test_exit_codes(arguments, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "there.csv", rows("B"))
    (tmp_path / "bad.json").write_text('{"columns": {"prize": "x"}}')
    found = CliRunner().invoke(
        program, ["import", "reimbursements", *arguments, "--base", "http://127.0.0.1:9/fhir", "--quiet"]
    )
    assert found.exit_code == code
