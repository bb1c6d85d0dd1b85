"""``fhir-server terminology import``: the files of LOINC, ICD-10, SNOMED CT and tables, in small invented ones.

Each is imported into the database of a running server, and asked over HTTP as soon as the server knows of it.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
import zipfile

import pytest

from fhir_server.interactions import terminology_import
from fhir_server.store.code_systems import CodeSystems
from fhir_server.store.connection import Connection
from fhir_server.terminology.importing import Source, SourceConcept

LOINC = {
    "LoincTable/Loinc.csv": (
        "LOINC_NUM,COMPONENT,SYSTEM,STATUS,SHORTNAME,LONG_COMMON_NAME\n"
        '"90001-1","Heart rate","XXX","ACTIVE","HR","Heart rate invented"\n'
        '"90002-9","Glucose","Bld","DEPRECATED","Glu Bld","Glucose, invented"\n'
    ),
    "AccessoryFiles/MultiAxialHierarchy/MultiAxialHierarchy.csv": (
        "PATH_TO_ROOT,SEQUENCE,IMMEDIATE_PARENT,CODE,CODE_TEXT\n"
        ",1,,LP1-1,Vital signs\nLP1-1,1,LP1-1,90001-1,Heart rate\n"
    ),
    "AccessoryFiles/AnswerFile/AnswerList.csv": (
        "AnswerListId,AnswerListName,AnswerStringId,DisplayText\nLL900-1,Invented,LA900-1,Yes\nLL900-1,Invented,LA901-9,No\n"
    ),
    "AccessoryFiles/LinguisticVariants/frFR12LinguisticVariant.csv": (
        "LOINC_NUM,COMPONENT,LONG_COMMON_NAME\n90001-1,Fréquence,Fréquence cardiaque inventée\n"
    ),
}
CLAML = {
    "cim.xml": """<?xml version="1.0" encoding="UTF-8"?>
<ClaML version="2.0.0"><Title name="CIM-X" date="2026-01-01" version="2026">Invented</Title>
<Class code="IX" kind="chapter"><Rubric kind="preferred"><Label xml:lang="fr">Maladies de l'appareil inventé</Label></Rubric></Class>
<Class code="I90-I99" kind="block"><SuperClass code="IX"/><Rubric kind="preferred"><Label xml:lang="fr">Bloc</Label></Rubric></Class>
<Class code="I90" kind="category"><SuperClass code="I90-I99"/><Rubric kind="preferred"><Label xml:lang="fr">Hypertension
 inventée</Label></Rubric><Rubric kind="inclusion"><Label xml:lang="fr">Pression haute</Label></Rubric></Class>
</ClaML>"""
}
EDITION = "http://snomed.info/sct/900000000000207008/version/20260101"
_ROW = "\t20260101\t1\t900000000000207008\t"
RF2 = {
    "Snapshot/Terminology/sct2_Concept_Snapshot_INT_20260101.txt": (
        "id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId\n"
        f"138875005{_ROW}900000000000074008\n900100{_ROW}900000000000074008\n900101{_ROW}900000000000073002\n"
        "900102\t20260101\t0\t900000000000207008\t900000000000074008\n"
    ),
    "Snapshot/Terminology/sct2_Description_Snapshot-en_INT_20260101.txt": (
        "id\teffectiveTime\tactive\tmoduleId\tconceptId\tlanguageCode\ttypeId\tterm\tcaseSignificanceId\n"
        f"1{_ROW}900100\ten\t900000000000003001\tInvented disease (disorder)\t0\n"
        f'2{_ROW}900100\ten\t900000000000013009\tInvented "disease"\t0\n'
        f"3{_ROW}900101\ten\t900000000000003001\tInvented kind (disorder)\t0\n"
    ),
    "Snapshot/Terminology/sct2_Relationship_Snapshot_INT_20260101.txt": (
        "id\teffectiveTime\tactive\tmoduleId\tsourceId\tdestinationId\trelationshipGroup\ttypeId\tcharacteristicTypeId\tmodifierId\n"
        f"11{_ROW}900100\t138875005\t0\t116680003\t0\t0\n12{_ROW}900101\t900100\t0\t116680003\t0\t0\n"
    ),
    "Snapshot/Refset/Language/der2_cRefset_LanguageSnapshot-en_INT_20260101.txt": (
        "id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\tacceptabilityId\n"
        f"a{_ROW}900000000000508004\t2\t900000000000548007\n"
    ),
    "Snapshot/Refset/Content/der2_Refset_SimpleSnapshot_INT_20260101.txt": (
        f"id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\nb{_ROW}900500\t900101\n"
    ),
}
TABLE = {
    "codes.csv": "code;display;display:fr;parent;inactive;unit\nA;Alpha;Alpha fr;;;kg\nB;Beta big;;A;;m\nC;Gamma;;A|B;true;\n"
}  # fmt: skip


def written(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def served(site_with, mongod_uri, module_database_name, tmp_path_factory):
    """A server, and the command on its database."""

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "fhir_server", "terminology", *arguments],
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": ".",
                "FHIR_MONGODB_URI": mongod_uri,
                "FHIR_MONGODB_DATABASE": module_database_name,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    with site_with({}) as client:
        folder = tmp_path_factory.mktemp("files")
        archive = folder / "loinc.zip"
        with zipfile.ZipFile(archive, "w") as zipped:
            for name, text in LOINC.items():
                zipped.writestr(name, text)
        done = [
            command("import", str(archive), "--version", "2.99"),
            command("import", str(written(folder / "cim", CLAML)), "--url", "http://hl7.org/fhir/sid/icd-10"),
            command("import", str(written(folder / "sct", RF2)), "--version", EDITION),
            command(
                "import", str(written(folder / "t", TABLE) / "codes.csv"), "--url", "urn:t", "--version", "1"
            ),
            command(
                "import", str(written(folder / "t", TABLE) / "codes.csv"), "--url", "urn:t", "--version", "2"
            ),
        ]
        for one in done:
            assert one.returncode == 0, one.stderr
            assert "concepts" in one.stdout
        deadline = time.monotonic() + 20
        while "urn:t" not in client.get("fhir/metadata?mode=terminology").text:
            assert time.monotonic() < deadline, "the server does not know of the import"
            time.sleep(0.1)
        time.sleep(0.6)
        yield client, command


def ask(client, path, **parameters):
    answer = client.get(f"fhir/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def value(parameters, name):
    [row] = [row for row in parameters["parameter"] if row["name"] == name]
    return next(v for k, v in row.items() if k.startswith("value"))


def codes(client, **parameters):
    found = ask(client, "ValueSet/$expand", **parameters)["expansion"]
    return [row["code"] for row in found.get("contains", ())]


LOOKUPS = [
    ("http://loinc.org", "90001-1", None, "Heart rate invented"),
    ("http://loinc.org", "90001-1", "fr", "Fréquence cardiaque inventée"),
    ("http://loinc.org", "LA901-9", None, "No"),
    ("http://hl7.org/fhir/sid/icd-10", "I90", None, "Hypertension inventée"),
    ("http://snomed.info/sct", "900100", None, 'Invented "disease"'),
    ("http://snomed.info/sct", "900101", None, "Invented kind (disorder)"),
    ("urn:t", "A", "fr", "Alpha fr"),
]


@pytest.mark.parametrize(("system", "code", "language", "display"), LOOKUPS)
def test_lookup(served, system, code, language, display):
    parameters = {"system": system, "code": code} | ({"displayLanguage": language} if language else {})
    assert value(ask(served[0], "CodeSystem/$lookup", **parameters), "display") == display


SUBSUMED = [
    ("http://loinc.org", "LP1-1", "90001-1", "subsumes"),
    ("http://hl7.org/fhir/sid/icd-10", "I90", "IX", "subsumed-by"),
    ("http://snomed.info/sct", "138875005", "900101", "subsumes"),
    ("http://snomed.info/sct", "900100", "900102", "not-subsumed"),
    ("urn:t", "C", "C", "equivalent"),
    ("urn:t", "A", "C", "subsumes"),
]


@pytest.mark.parametrize(("system", "a", "b", "outcome"), SUBSUMED)
def test_subsumes(served, system, a, b, outcome):
    found = ask(served[0], "CodeSystem/$subsumes", system=system, codeA=a, codeB=b)
    assert value(found, "outcome") == outcome


EXPANSIONS = [
    ({"url": "http://loinc.org/vs"}, ["90001-1", "90002-9", "LP1-1", "LA900-1", "LA901-9"]),
    ({"url": "http://loinc.org/vs", "activeOnly": "true", "count": "2"}, ["90001-1", "LP1-1"]),
    ({"url": "http://loinc.org/vs/LL900-1"}, ["LA900-1", "LA901-9"]),
    ({"url": "http://loinc.org/vs/LP1-1"}, ["90001-1", "LP1-1"]),
    ({"url": "http://loinc.org/vs", "filter": "frequence card"}, ["90001-1"]),
    ({"url": "http://loinc.org/vs", "offset": "1", "count": "2"}, ["90002-9", "LP1-1"]),
    ({"url": "http://snomed.info/sct?fhir_vs=isa/900100"}, ["900100", "900101"]),
    ({"url": "http://snomed.info/sct?fhir_vs=refset/900500"}, ["900101"]),
    ({"url": "http://snomed.info/sct?fhir_vs", "filter": "inv kind"}, ["900101"]),
    ({"url": "http://snomed.info/sct?fhir_vs", "count": "0"}, []),
]


@pytest.mark.parametrize(("parameters", "expected"), EXPANSIONS)
def test_expand(served, parameters, expected):
    assert codes(served[0], **parameters) == expected


FILTERS = [
    ("concept", "is-a", "B", ["B", "C"]),
    ("concept", "descendent-of", "A", ["B", "C"]),
    ("concept", "is-not-a", "B", ["A"]),
    ("concept", "generalizes", "B", ["A", "B"]),
    ("concept", "in", "A,C", ["A", "C"]),
    ("concept", "not-in", "A,C", ["B"]),
    ("code", "regex", "[AB]", ["A", "B"]),
    ("display", "=", "Gamma", ["C"]),
    ("parent", "=", "A", ["B", "C"]),
    ("unit", "=", "kg", ["A"]),
    ("unit", "in", "kg,m", ["A", "B"]),
    ("unit", "not-in", "kg", ["B", "C"]),
    ("unit", "regex", "k.", ["A"]),
    ("unit", "exists", "false", ["C"]),
    ("unit", "exists", "true", ["A", "B"]),
]


def value_set(*includes, exclude=()):
    compose = {"include": list(includes)}
    if exclude:
        compose["exclude"] = list(exclude)
    return {"resourceType": "ValueSet", "url": "urn:vs", "status": "active", "compose": compose}


def expanded(client, resource):
    answer = client.post("fhir/ValueSet/$expand?excludeNested=true", json=resource)
    assert answer.status_code == 200, answer.text
    return [row["code"] for row in answer.json()["expansion"].get("contains", ())]


@pytest.mark.parametrize(("property_", "op", "wanted", "expected"), FILTERS)
def test_filters_of_what_is_in_the_database(served, property_, op, wanted, expected):
    clause = {"system": "urn:t", "filter": [{"property": property_, "op": op, "value": wanted}]}
    assert expanded(served[0], value_set(clause)) == expected
    # ... and as tests of one concept, where something else is included too
    assert expanded(served[0], value_set({"system": "urn:t"}, exclude=[clause])) == sorted(
        set("ABC") - set(expected)
    )


@pytest.mark.parametrize(("op", "wanted"), [("regex", "(?=a)b"), ("regex", "("), ("sounds-like", "A")])
def test_filters_that_are_refused(served, op, wanted):
    clause = {"system": "urn:t", "filter": [{"property": "code", "op": op, "value": wanted}]}
    answer = served[0].post("fhir/ValueSet/$expand", json=value_set(clause))
    assert answer.status_code == 422, answer.text


def test_versions_stand_side_by_side(served):
    client, _ = served
    found = ask(client, "CodeSystem/$lookup", system="urn:t", code="A")
    assert value(found, "version") == "2"
    assert value(ask(client, "CodeSystem/$lookup", system="urn:t", code="A", version="1"), "version") == "1"
    answer = client.get("fhir/CodeSystem/$lookup", params={"system": "urn:t", "code": "A", "version": "3"})
    assert answer.status_code == 404
    assert "Valid versions: 1 or 2" in answer.text


def test_validation_judges_codes_of_an_imported_system(served):
    client, _ = served
    bound = f"http://example.org/bound-{uuid.uuid4().hex}"
    vs = {
        **value_set({"system": "urn:t", "filter": [{"property": "concept", "op": "is-a", "value": "B"}]}),
        "url": bound,
    }
    assert client.post("fhir/ValueSet", json=vs).status_code == 201
    profile = {
        "resourceType": "StructureDefinition", "url": f"{bound}/profile", "name": "P", "status": "active", "kind": "resource",
        "abstract": False, "type": "Observation", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation",
        "differential": {"element": [
            {"id": "Observation.code", "path": "Observation.code", "binding": {"strength": "required", "valueSet": bound}},
        ]},
    }  # fmt: skip
    assert client.post("fhir/StructureDefinition", json=profile).status_code == 201
    for code, status in (("C", 201), ("A", 422), ("Z", 422)):
        observation = {
            "resourceType": "Observation",
            "meta": {"profile": [profile["url"]]},
            "status": "final",
            "code": {"coding": [{"system": "urn:t", "code": code}]},
        }
        assert client.post("fhir/Observation", json=observation).status_code == status, code
        # a search for the value set finds what is stored
    found = client.get("fhir/Observation", params={"code:in": bound}).json()
    assert [e["resource"]["code"]["coding"][0]["code"] for e in found["entry"]] == ["C"]
    found = client.get("fhir/Observation", params={"code:below": "urn:t|A"}).json()
    assert len(found["entry"]) == 1


def test_list_and_remove(served):
    _, command = served
    listed = command("list").stdout
    assert "urn:t|1  3 concepts" in listed
    assert "http://hl7.org/fhir/sid/icd-10|2026  3 concepts" in listed
    gone = command("remove", "urn:nothing|1")
    assert gone.returncode == 2
    assert "isn't imported" in gone.stderr


@pytest.mark.parametrize(
    ("files", "options", "complaint"),
    [
        ({"a.csv": "code,display\nA,x\nA,y\n"}, ["--url", "urn:x"], "stands twice"),
        ({"a.csv": "code,parent\nA,B\nB,A\n"}, ["--url", "urn:x"], "above itself"),
        ({"a.csv": "code,display\nA,x\n"}, [], "give --url"),
        ({"a.csv": "kode,display\nA,x\n"}, ["--url", "urn:x"], "known formats"),
        ({"a.xml": '<!DOCTYPE ClaML [<!ENTITY a "b">]><ClaML/>'}, ["--url", "urn:x"], "entities"),
        ({"a.json": '{"resourceType": "CodeSystem", "url": "urn:x", "content": "fragment"}'}, [], "complete"),
        ({"sct2_Concept_Snapshot_x.txt": "id\n"}, ["--version", "2026"], "URI"),
        ({}, ["--url", "urn:x"], "known formats"),
    ],
)
def test_what_cannot_be_imported_is_said(served, tmp_path, files, options, complaint):
    refused = served[1]("import", str(written(tmp_path, files)), *options)
    assert refused.returncode == 2
    assert complaint in refused.stderr


async def test_an_import_that_stopped_goes_on(mongod_uri, database_name, monkeypatch):
    monkeypatch.setattr(terminology_import, "STEP", 10)
    header = {
        "resourceType": "CodeSystem",
        "url": "urn:big",
        "version": "1",
        "content": "complete",
        "caseSensitive": True,
    }

    def source():
        return Source(header, [SourceConcept(f"c{i}", f"Code {i}") for i in range(35)])

    def stop(done, _total):
        if done == 20:
            raise KeyboardInterrupt

    connection = await Connection.open(mongod_uri, database_name, timeout_s=5, limit_ms=5000)
    systems = CodeSystems(connection)
    with pytest.raises(KeyboardInterrupt):
        await terminology_import.import_source(systems, source(), "a" * 64, 1, stop)
    assert await systems.all() == []
    done = await terminology_import.import_source(systems, source(), "a" * 64, 2, lambda *_: None)
    assert (done.count, done.skipped) == (35, 20)
    # other files begin anew, and replace what was there
    again = await terminology_import.import_source(systems, source(), "b" * 64, 3, lambda *_: None)
    assert (again.count, again.skipped) == (35, 0)
    [row] = await systems.all()
    names = await connection.database.list_collection_names()
    assert [n for n in names if n.startswith("code_system_")] == [row.key]
    await connection.close()
