"""``fhirpath``: an expression on resources in files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PATIENT = '{"resourceType":"Patient","id":"a","name":[{"given":["Ada","B"],"period":{"start":"2020"}}],"active":true}'
XML = '<Observation xmlns="http://hl7.org/fhir"><valueQuantity><value value="1.50"/></valueQuantity></Observation>'


def run(*arguments, stdin=""):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
    return subprocess.run(
        [sys.executable, "-m", "fhir_server", "fhirpath", *map(str, arguments)],
        input=stdin, capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "text", "output"),
    [
        ("name.given", PATIENT, '"Ada"\n"B"\n'),
        ("active and name.exists()", PATIENT, "true\n"),
        ("name.period", PATIENT, '{"start":"2020"}\n'),
        ("name.period.start + 1 year", PATIENT, '"2021"\n'),
        ("name.family", PATIENT, ""),
        ("Observation.value", PATIENT, ""),
        ("value.value", XML, "1.50\n"),
        ("value.value * 3", XML, "4.50\n"),
        ("id", f"{PATIENT}\n{PATIENT}", '"a"\n"a"\n'),
    ],
)
def test_results_are_json_lines(expression, text, output):
    result = run(expression, stdin=text)
    assert (result.returncode, result.stdout, result.stderr) == (0, output, "")


RICH = (
    '{"resourceType":"Patient","gender":"male","text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">x</div>"},'
    '"contained":[{"resourceType":"Organization","id":"o","name":"O"}],"managingOrganization":{"reference":"#o"}}'
)


@pytest.mark.parametrize(
    ("expression", "output"),
    [
        ("gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", "true\n"),
        ("gender.memberOf(%`vs-administrative-gender`)", "true\n"),
        ("id.combine('x').memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", "false\n"),
        ("conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", "true\n"),
        ("conformsTo('http://hl7.org/fhir/StructureDefinition/Group')", "false\n"),
        ("text.div.htmlChecks()", "true\n"),
        ("managingOrganization.resolve().name", '"O"\n'),
        ("%ucum", '"http://unitsofmeasure.org"\n'),
    ],
)
def test_functions_of_fhir_answer_from_the_definitions(expression, output):
    result = run(expression, stdin=RICH)
    assert (result.returncode, result.stdout, result.stderr) == (0, output, "")


def test_an_expression_that_explodes_is_stopped():
    nested = "%resource.descendants()"
    for _ in range(9):
        nested = f"%resource.descendants().select({nested})"
    result = run(f"{nested}.count()", stdin=RICH)
    assert (result.returncode, result.stdout) == (1, "")
    assert "more steps than are allowed" in result.stderr


def test_names(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(PATIENT)
    assert run("id", file, "--names").stdout == f'{file}:1: "a"\n'


@pytest.mark.parametrize(
    ("arguments", "text", "code", "words"),
    [
        (["name."], PATIENT, 2, "can't be used"),
        (["nam.given"], PATIENT, 1, "Patient has no element nam"),
        (["id"], "{", 1, "ends too early"),
        (["id"], '{"resourceType":"X"}', 1, "no resource of R4"),
        (["id", "nowhere.json"], "", 2, "doesn't exist"),
    ],
)
def test_what_can_t_be_done(arguments, text, code, words):
    result = run(*arguments, stdin=text)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr
