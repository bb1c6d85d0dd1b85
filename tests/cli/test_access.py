"""``fhir-server access``: scopes in words, decisions of a running server, the schema of matrices."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from fhir_server.cli.program import program


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(program, ["access", *arguments])
    return done.exit_code, done.output


def test_scopes_are_said_in_words():
    scope = "patient/Observation.rs?category=vital-signs user/*.read openid patient/Unheard.rs"
    code, text = run("explain", "--scope", scope)
    assert code == 0
    assert text.splitlines() == [
        (
            "patient/Observation.rs?category=vital-signs: read, search Observation, "
            "where category is vital-signs, as the patient may"
        ),
        "user/*.rs: read, search all types, as the user may",
        "openid: no data",
        "patient/Unheard.rs: not understood, grants nothing",
    ]


def test_a_decision_is_told_step_by_step(site):
    base = str(site.base_url.join("fhir"))
    for type_, body in (
        ("Patient", {"name": [{"family": "x"}]}),
        (
            "Observation",
            {"status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/explained"}},
        ),
    ):
        resource = {"resourceType": type_, "id": "explained", **body}
        assert site.put(f"/fhir/{type_}/explained", json=resource).status_code in (200, 201)
    asked = ["explain", "--actor", "Practitioner/q", "--patient", "Patient/explained", "--base", base]
    code, text = run(*asked, "--resource", "Observation/explained")
    assert code == 0, text
    lines = text.splitlines()
    assert lines[:2] == ["sees nothing", "Observation/explained: hidden"]
    assert any(line.split()[:3] == ["link", "doesn't", "hold"] for line in lines)
    assert any(line.split() == ["Observation", "0", "of", "1"] for line in lines)
    assert run(*asked, "--resource", "Observation/unheard")[0] != 0


def test_what_is_missing_and_who_cant_be_reached():
    assert run("explain")[0] == 2
    assert run("explain", "--actor", "Practitioner/q", "--base", "ftp://x")[0] == 2
    assert run("explain", "--actor", "Practitioner/q", "--base", "http://127.0.0.1:1/fhir")[0] not in (0, 2)


def test_the_schema_of_matrices():
    code, text = run("matrix-schema")
    assert code == 0
    assert json.loads(text)["$ref"] == "#/$defs/Matrix"
