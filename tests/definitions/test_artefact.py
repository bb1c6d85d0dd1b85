"""A package becomes an artefact, and an artefact gives its definitions back."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from fhir_server.definitions.artefact import MAGIC, Artefact, compile_package, is_current

PREFIX = "http://hl7.org/fhir/StructureDefinition/"


def structure(name, *elements, kind="complex-type", **more):
    return {
        "resourceType": "StructureDefinition", "url": PREFIX + name, "kind": kind, "abstract": False,
        "baseDefinition": PREFIX + "Element", "text": {"div": "<div/>"}, "publisher": "HL7",
        "snapshot": {"element": [{"path": name, "min": 0, "max": "*"}, *elements]}, **more,
    }  # fmt: skip


def element(path, *types, low=0, high="1", **more):
    return {"path": path, "min": low, "max": high, "type": [{"code": t} for t in types], **more}


STRUCTURES = [
    structure(
        "Thing",
        element("Thing.id", "http://hl7.org/fhirpath/System.String"),
        element("Thing.value[x]", "string", "Quantity", low=1, isSummary=True, definition="dropped"),
        element("Thing.part", "BackboneElement", high="*"),
        element("Thing.part.name", "string"),
        {"path": "Thing.part.part", "min": 0, "max": "*", "contentReference": "#Thing.part"},
        {"path": "Thing.owner", "min": 0, "max": "1",
         "type": [{"code": "Reference", "targetProfile": [PREFIX + "Patient", PREFIX + "Group"]}]},
        kind="resource",
    ),
    structure("constrained", derivation="constraint"),
    structure("Logical", kind="logical"),
]  # fmt: skip
STRUCTURES[0]["snapshot"]["element"][1]["type"][0]["extension"] = [
    {"url": PREFIX + "structuredefinition-fhir-type", "valueUrl": "string"}
]
OTHERS = [
    {"resourceType": "ValueSet", "url": "http://v", "compose": {"include": []}, "description": "dropped"},
    {"resourceType": "CodeSystem", "url": "http://c", "concept": [
        {"code": "a", "definition": "dropped", "concept": [{"code": "b", "display": "B"}]}]},
    {"resourceType": "SearchParameter", "url": "http://s", "code": "s", "xpath": "dropped", "description": "kept"},
    {"resourceType": "CompartmentDefinition", "url": "http://p", "code": "Patient"},
    {"resourceType": "OperationDefinition", "url": "http://o", "code": "o"},
]  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    package = io.BytesIO()
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        for number, resource in enumerate([*STRUCTURES, *OTHERS]):
            body = json.dumps(resource).encode()
            member = tarfile.TarInfo(f"package/{resource['resourceType']}-{number}.json")
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    target = tmp_path_factory.mktemp("artefact") / "a.artefact"
    compile_package(package.getvalue(), target, "the-sum")
    return target


def test_it_is_current_for_its_package_and_format_only(file, tmp_path):
    assert is_current(file, "the-sum")
    assert not is_current(file, "another")
    assert not is_current(tmp_path / "absent", "the-sum")
    older = tmp_path / "older"
    older.write_bytes(file.read_bytes().replace(MAGIC, b"FHIRDEF0"))
    assert not is_current(older, "the-sum")
    with pytest.raises(ValueError, match="install the package again"):
        Artefact(older)
    truncated = tmp_path / "truncated"
    truncated.write_bytes(file.read_bytes()[:40])
    assert not is_current(truncated, "the-sum")


def test_single_definitions_without_what_no_engine_reads(file):
    artefact = Artefact(file)
    assert artefact.package == "hl7.fhir.r4.core#4.0.1"
    assert artefact.urls("ValueSet") == ["http://v"]
    assert artefact.resource("ValueSet", "http://absent") is None
    assert "description" not in artefact.resource("ValueSet", "http://v")
    thing = artefact.resource("StructureDefinition", PREFIX + "Thing")
    assert thing.keys() & {"text", "publisher"} == set()
    assert '"definition"' not in json.dumps(thing["snapshot"])
    assert artefact.resource("CodeSystem", "http://c")["concept"] == [
        {"code": "a", "concept": [{"code": "b", "display": "B"}]}
    ]
    [parameter] = artefact.group("SearchParameter")
    assert parameter["description"] == "kept"
    assert "xpath" not in parameter


def test_the_table_of_types(file):
    table = Artefact(file).group("types")
    assert table.keys() == {"Thing", "Thing.part"}
    assert table["Thing"]["elements"] == [
        ["id", ["string"], 0, 1, [], False],
        ["value[x]", ["string", "Quantity"], 1, 1, [], True],
        ["part", ["Thing.part"], 0, 0, [], False],
        ["owner", ["Reference"], 0, 1, ["Patient", "Group"], False],
    ]
    assert table["Thing.part"]["elements"][1] == ["part", ["Thing.part"], 0, 0, [], False]
    assert (table["Thing"]["kind"], table["Thing.part"]["kind"]) == ("resource", "backbone")
