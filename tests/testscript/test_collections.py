"""The requests that are generated from a CapabilityStatement work, in each form."""

from __future__ import annotations

import json
import re

import httpx
import jsonschema
import pytest
from typer.testing import CliRunner

from fhir_server.cli.conformance import program as command
from fhir_server.testscript.collections import FORMS, collection
from tests.examples.test_main_job_http import Run, blocks

#: The types that have all interactions in the collection, one with all kinds of parameters, and one that is only searched.
TYPES = (
    "Consent",
    "DocumentReference",
    "ExplanationOfBenefit",
    "Location",
    "Observation",
    "Patient",
    "RelatedPerson",
)
#: What https://schema.getpostman.com/json/collection/v2.1.0/collection.json demands of the parts that we write.
KEY_VALUE = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["key", "value"],
        "properties": {"key": {"type": "string"}, "value": {"type": "string"}},
    },
}
POSTMAN = {
    "type": "object", "required": ["info", "item"], "additionalProperties": False,
    "properties": {
        "info": {"type": "object", "required": ["name", "schema"], "properties": {"schema": {"const": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"}}},
        "auth": {"type": "object", "required": ["type"], "properties": {"type": {"const": "bearer"}, "bearer": KEY_VALUE}},
        "variable": KEY_VALUE,
        "item": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/folder"}, {"$ref": "#/$defs/item"}]}},
    },
    "$defs": {
        "folder": {"type": "object", "required": ["name", "item"], "properties": {"item": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/item"}}}},
        "item": {
            "type": "object", "required": ["name", "request"], "additionalProperties": False,
            "properties": {
                "name": {"type": "string"}, "response": {"type": "array"},
                "event": {"type": "array", "items": {"type": "object", "required": ["listen", "script"], "properties": {"script": {"type": "object", "required": ["exec", "type"], "properties": {"exec": {"type": "array", "items": {"type": "string"}}}}}}},
                "request": {
                    "type": "object", "required": ["method", "header", "url"], "additionalProperties": False,
                    "properties": {
                        "method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]}, "header": KEY_VALUE,
                        "url": {"type": "object", "required": ["raw", "host", "path"], "properties": {"host": {"const": ["{{base}}"]}, "path": {"type": "array", "items": {"type": "string"}}, "query": KEY_VALUE}},
                        "body": {"type": "object", "required": ["mode", "raw"], "properties": {"mode": {"const": "raw"}, "raw": {"type": "string"}}},
                    },
                },
            },
        },
    },
}  # fmt: skip


def generated(tmp_path, fhir, form, *arguments):
    base = str(fhir.base_url).rstrip("/")
    done = CliRunner().invoke(
        command, ["collection", "--base", base, "--format", form, "--out", str(tmp_path), *arguments]
    )
    assert done.exit_code == 0, done.output
    return tmp_path


def test_each_request_of_the_http_file_works(fhir, tmp_path):
    of_types = [part for type_ in TYPES for part in ("--type", type_)]
    text = (generated(tmp_path, fhir, "http", *of_types) / "fhir.http").read_text()
    made = list(blocks(text[text.index("###") :]))
    run = Run(httpx.Client(timeout=60))
    run.variables["base"] = re.search(r"@base = (\S+)", text)[1]
    with run.client:
        for block in made:
            assert block.expectations, block.title
            run.send(block)
    assert {block.method for block in made} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert sum(" by " in block.title for block in made) > 150


def test_every_advertised_interaction_and_parameter_is_there(fhir):
    statement = fhir.get("metadata").json()
    made = collection(statement, "http://h/fhir", {})
    folders = {folder.name: folder.requests for folder in made.folders}
    for row in statement["rest"][0]["resource"]:
        search = next(one for one in folders[row["type"]] if one.name == "Search")
        assert [name for name, _ in search.choices] == [one["name"] for one in row["searchParam"]]


def test_the_postman_collection_has_the_published_structure(fhir, tmp_path):
    text = (generated(tmp_path, fhir, "postman") / "fhir.postman_collection.json").read_text()
    document = json.loads(text)
    jsonschema.validate(document, POSTMAN)
    assert len(document["item"]) == 148
    used = set(re.findall(r"\{\{(\w+)\}\}", text))
    set_by_tests = set(re.findall(r'collectionVariables\.set\(\\"(\w+)', text))
    assert used == set_by_tests | {"base"}


def test_the_bruno_folder(fhir, tmp_path):
    folder = generated(tmp_path, fhir, "bruno", "--type", "Patient")
    assert json.loads((folder / "bruno.json").read_text())["type"] == "collection"
    texts = {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*.bru")}
    assert "002 Patient/01 Create.bru" in texts
    assert "vars:post-response {\n  patientId: res.body.id\n}" in texts["002 Patient/01 Create.bru"]
    assert "  ~birthdate: ge2020-01-01" in texts["002 Patient/08 Search.bru"]
    for name, text in texts.items():
        assert re.fullmatch(r"(?:[a-z:-]+ [{\[]\n(?:  .*\n)*[}\]]\n\n?)+", text), name


def test_a_server_that_wants_tokens_gets_them():
    statement = {"rest": [{"mode": "server", "security": {"service": [{"text": "SMART"}]}, "resource": []}]}
    made = collection(statement, "http://h/fhir", {})
    assert "Authorization: Bearer {{token}}" in FORMS["http"](made)["fhir.http"]
    assert json.loads(FORMS["postman"](made)["fhir.postman_collection.json"])["auth"]["type"] == "bearer"
    assert "bearer" in FORMS["bruno"](made)["collection.bru"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--type", "Nonsense"], 2), (["--format", "paper"], 2), (["--sample", "nothing.json"], 2)],
)
def test_refusals(fhir, tmp_path, arguments, code):
    base = str(fhir.base_url).rstrip("/")
    done = CliRunner().invoke(command, ["collection", "--base", base, "--out", str(tmp_path), *arguments])
    assert done.exit_code == code, done.output


def test_a_server_that_is_not_there(tmp_path):
    done = CliRunner().invoke(command, ["collection", "--base", "http://127.0.0.1:9", "--out", str(tmp_path)])
    assert done.exit_code == 3
