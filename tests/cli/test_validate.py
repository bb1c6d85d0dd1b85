"""``validate``: files against the base definitions, in one process and in several."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from fhir_server.definitions.content import content_folder

GOOD = '{"resourceType":"Observation","id":"a","status":"final","code":{"text":"x"}}'
BAD = '{"resourceType":"Observation","id":"b","status":"finished"}'


def run(*arguments, stdin="", **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
    return subprocess.run(
        [sys.executable, "-m", "fhir_server", "validate", *map(str, arguments)],
        input=stdin, capture_output=True, text=True, timeout=120, env=environment | variables, check=False,
    )  # fmt: skip


def test_text(tmp_path):
    (tmp_path / "a.ndjson").write_text(f"{GOOD}\n{BAD}\n")
    result = run(tmp_path)
    assert result.returncode == 1
    assert result.stderr == "2 resources, 1 invalid\n"
    lines = result.stdout.splitlines()
    assert [line.split(" ")[0] for line in lines] == [f"{tmp_path / 'a.ndjson'}:2:{n}:" for n in (40, 1)]
    assert any("error Observation.status: " in line for line in lines)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_json_in_order(tmp_path, jobs):
    (tmp_path / "a.ndjson").write_text(f"{GOOD}\n{BAD}\n{{\n{GOOD}")
    result = run(tmp_path, "--format", "json", "--jobs", jobs)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["line"], row["id"], row["valid"]) for row in rows] == [
        (1, "a", True), (2, "b", False), (3, None, False), (4, "a", True),
    ]  # fmt: skip
    assert rows[1]["issues"][0].keys() >= {"severity", "code", "diagnostics", "expression"}
    assert rows[0]["issues"] == []


def test_valid_is_exit_code_0():
    result = run("-", stdin=GOOD)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "1 resources, 0 invalid\n")


def test_a_file_that_can_t_be_decompressed(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(b"no gzip")
    result = run(tmp_path / "a.json.gz")
    assert result.returncode == 1
    assert "Can't be read" in result.stdout


def test_the_examples():
    assert run(content_folder("examples") / "pass").returncode == 0
    rows = [
        json.loads(line)
        for line in run(
            content_folder("examples") / "fail", "--format", "json", FHIR_VALIDATION_WARNINGS="none"
        ).stdout.splitlines()
        if "expected.json" not in json.loads(line)["file"]
    ]
    assert rows
    assert [row["file"] for row in rows if row["valid"]] == []


XML = '<Patient xmlns="http://hl7.org/fhir">\n <aktive value="true"/>\n <gender value="m"/></Patient>'


def test_our_own_profiles_are_known_without_set_up(tmp_path):
    """In a folder without settings or packages: each example of a rule is judged as its folder says."""
    rules = content_folder("examples") / "rules"
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    for kind, invalid in (("pass", 0), ("warn", 0), ("fail", 78)):
        result = run(rules / kind, "--severity", "error", **environment)
        assert result.stderr.endswith(f" {invalid} invalid\n"), result.stderr
    assert run(content_folder("examples") / "pass", **environment).returncode == 0


def test_xml_and_patterns(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.xml").write_text(XML)
    (tmp_path / "c.txt").write_text("no resource")
    for path in (tmp_path, f"{tmp_path}/**/*.xml", f"{tmp_path}/deep/?.xml"):
        result = run(path)
        assert re.findall(r":(\d+:\d+): error (\S+):", result.stdout) == [
            ("2:2", "Patient"),
            ("3:2", "Patient.gender"),
        ]
        assert (result.returncode, result.stderr) == (1, "1 resources, 1 invalid\n")
    assert run(f"{tmp_path}/*.xml").returncode == 2


def test_lines_are_those_of_the_file(tmp_path):
    pretty = '\n\n{"resourceType":"Bundle","type":"collection",\n"entry":[{"resource":\n{"resourceType":"Patient","active":1}}]}'
    (tmp_path / "a.json").write_text(pretty)
    [row] = [json.loads(line) for line in run(tmp_path / "a.json", "--format", "json").stdout.splitlines()]
    issue = next(i for i in row["issues"] if i["severity"] == "error")
    assert (issue["expression"], issue["line"], issue["column"]) == (
        ["Bundle.entry[0].resource.active"],
        5,
        27,
    )
    assert issue["location"] == ["Line[5] Col[27]"]


def test_xml_from_standard_input():
    result = run("-", stdin=XML)
    assert result.returncode == 1
    assert "-:2:2: error Patient" in result.stdout


WARNING = '{"resourceType":"ValueSet","status":"draft","name":"a b"}'


@pytest.mark.parametrize(("severity", "listed"), [("error", False), ("warning", True), ("information", True)])
def test_severity_chooses_what_is_listed(severity, listed):
    result = run("-", "--severity", severity, stdin=WARNING)
    assert result.returncode == 0
    assert ("warning ValueSet" in result.stdout) is listed


def test_junit(tmp_path):
    (tmp_path / "a.ndjson").write_text(f"{GOOD}\n{BAD}\n")
    suites = ET.fromstring(run(tmp_path, "--format", "junit").stdout)
    assert (suites.tag, suites.get("tests"), suites.get("failures")) == ("testsuites", "2", "1")
    good, bad = suites.iter("testcase")
    assert (good.get("name"), len(good)) == ("Observation/a", 0)
    assert bad.get("name") == "Observation/b"
    assert "Observation.status" in bad.find("failure").text


def test_sarif(tmp_path):
    (tmp_path / "a b.ndjson").write_text(f"{GOOD}\n{BAD}\n")
    [log] = json.loads(run(tmp_path, "--format", "sarif").stdout)["runs"]
    first = log["results"][0]
    place = first["locations"][0]["physicalLocation"]
    assert (
        log["tool"]["driver"]["rules"][first["ruleIndex"]]["id"]
        == first["ruleId"]
        == "binding@Observation.status"
    )
    assert (first["level"], place["region"]) == ("error", {"startLine": 2, "startColumn": 40})
    assert place["artifactLocation"]["uri"].endswith("a%20b.ndjson")


def test_github(tmp_path):
    (tmp_path / "a,b.ndjson").write_text(f"{GOOD}\n{BAD}\n")
    lines = run(tmp_path, "--format", "github").stdout.splitlines()
    assert lines[0].startswith(
        f"::error file={tmp_path}/a%2Cb.ndjson,line=2,col=40,title=binding@Observation.status::"
    )


def test_explain():
    result = run("--explain", "Observation.component[0].value.ofType(Quantity).unit")
    assert result.returncode == 0
    assert result.stdout.startswith("Quantity.unit: Unit representation\n")
    assert (
        json.loads(run("--explain", "Patient.gender", "--format", "json").stdout)["path"] == "Patient.gender"
    )
    missing = run("--explain", "Patient.gendr")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "did you mean gender" in missing.stderr


@pytest.mark.parametrize("arguments", [[], ["--severity", "fatal", "-"], ["--format", "html", "-"]])
def test_usage(arguments):
    assert run(*arguments).returncode == 2


def package(folder):
    """Write a package with one profile: an Observation must have an effectiveDateTime."""
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "package.json").write_text('{"name": "example.one", "version": "1.0.0"}')
    profile = {
        "resourceType": "StructureDefinition",
        "url": "https://example.org/dated",
        "version": "1.0.0",
        "name": "Dated",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Observation",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation",
        "derivation": "constraint",
        "differential": {
            "element": [{"id": "Observation.effective[x]", "path": "Observation.effective[x]", "min": 1}]
        },
    }
    (folder / "package" / "StructureDefinition-dated.json").write_text(json.dumps(profile))
    return folder


def test_profile_and_package(tmp_path):
    source = package(tmp_path / "one")
    result = run("-", "--package", source, "--profile", "https://example.org/dated|1.0.0", stdin=GOOD)
    assert result.returncode == 1
    assert "[cardinality@https://example.org/dated#Observation.effective[x]]" in result.stdout
    assert run("-", "--package", source, stdin=GOOD).returncode == 0
    result = run("-", "--profile", "https://example.org/dated", stdin=GOOD)
    assert (result.returncode, "isn't known" in result.stderr) == (2, True)
    assert run("-", "--package", tmp_path / "nowhere", stdin=GOOD).returncode == 2


def test_in_french():
    result = run("-", "--lang", "fr", stdin=BAD.replace("finished", "Final"))
    assert "Le code doit être l'un de ceux-ci" in result.stdout
    assert "  fix: " in result.stdout
    assert run("-", "--lang", "xx", stdin=GOOD).returncode == 2


WRONG = (
    '{\n  "resourceType" : "Patient",\n  "gender": "Female",\n  "birthDte": "2020",\n  "active": "true"\n}\n'
)
MENDED = WRONG.replace('"Female"', '"female"').replace('"true"', "true")


def test_a_fix_that_assumes_something_says_so(tmp_path):
    (tmp_path / "a.json").write_text(WRONG)
    lines = run(tmp_path).stdout.splitlines()
    assert [line for line in lines if line.startswith("  fix")] == [
        '  fix: [{"op":"replace","path":"/gender","value":"female"}]',
        '  fix (if "birthDate" is meant): [{"op":"move","from":"/birthDte","path":"/birthDate"}]',
        '  fix: [{"op":"replace","path":"/active","value":true}]',
    ]


def test_fix_prints_a_diff_and_changes_nothing(tmp_path):
    (tmp_path / "a.json").write_text(WRONG)
    result = run(tmp_path / "a.json", "--fix")
    assert result.returncode == 1
    assert [line for line in result.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
        '-  "gender": "Female",', '+  "gender": "female",', '-  "active": "true"', '+  "active": true',
    ]  # fmt: skip
    assert (tmp_path / "a.json").read_text() == WRONG


def test_fix_and_write(tmp_path):
    (tmp_path / "a.json").write_text(WRONG)
    (tmp_path / "b.ndjson").write_text(f"{GOOD}\n{BAD.replace('finished', 'Final')}\r\n{GOOD}\n")
    (tmp_path / "c.xml").write_text(
        '<Patient xmlns="http://hl7.org/fhir"><gender value="Male"/><birthDate value="31/12/2020"/></Patient>'
    )
    result = run(tmp_path, "--fix", "--write")
    assert result.stderr.count("mended ") == 3
    assert (tmp_path / "a.json").read_text() == MENDED
    assert (
        tmp_path / "b.ndjson"
    ).read_bytes().decode() == f"{GOOD}\n{BAD.replace('finished', 'final')}\r\n{GOOD}\n"
    assert run(tmp_path / "c.xml").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.ndjson", "c.xml"]


@pytest.mark.parametrize("arguments", [["-", "--fix"], ["x.json.gz", "--fix"], ["x.json", "--write"]])
def test_what_can_t_be_mended(tmp_path, arguments):
    (tmp_path / "x.json.gz").write_bytes(b"")
    (tmp_path / "x.json").write_text(GOOD)
    arguments = [str(tmp_path / a) if a.startswith("x") else a for a in arguments]
    assert run(*arguments, stdin=GOOD).returncode == 2
