"""Operations of code systems, value sets and concept maps over HTTP: https://hl7.org/fhir/R4/terminology-service.html."""

from __future__ import annotations

import uuid

import pytest

N = uuid.uuid4().hex
ANIMALS = f"http://example.org/animals-{N}"
PETS = f"http://example.org/pets-{N}"
MAP = f"http://example.org/map-{N}"
GENDER = "http://hl7.org/fhir/administrative-gender"
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"


def prop(code, **value):
    return {"code": code, **value}


RESOURCES = [
    {
        "resourceType": "CodeSystem", "id": f"a{N}", "url": ANIMALS, "version": "1", "name": "Animals", "status": "active",
        "content": "complete", "caseSensitive": True, "language": "en", "valueSet": f"{ANIMALS}/vs",
        "property": [{"code": "legs", "type": "integer"}, {"code": "notSelectable", "uri": "http://hl7.org/fhir/concept-properties#notSelectable", "type": "boolean"}],
        "concept": [
            {"code": "animal", "display": "Animal", "property": [prop("notSelectable", valueBoolean=True)], "concept": [
                {"code": "cat", "display": "Cat", "definition": "Purrs", "designation": [{"language": "fr", "value": "Chat"}],
                 "property": [prop("legs", valueInteger=4)]},
                {"code": "bird", "display": "Bird", "property": [prop("legs", valueInteger=2)], "concept": [
                    {"code": "dodo", "display": "Dodo", "property": [prop("inactive", valueBoolean=True)]},
                    {"code": "owl", "display": "Owl", "designation": [{"language": "fr", "value": "Chouette"}]},
                ]},
            ]},
        ],
    },
    {
        "resourceType": "ValueSet", "id": f"p{N}", "url": PETS, "version": "1", "status": "active",
        "compose": {
            "include": [{"system": ANIMALS, "filter": [{"property": "concept", "op": "is-a", "value": "animal"}]}],
            "exclude": [{"system": ANIMALS, "concept": [{"code": "dodo"}]}],
        },
    },
    {
        "resourceType": "ConceptMap", "id": f"m{N}", "url": MAP, "version": "1", "status": "active",
        "sourceUri": PETS, "targetUri": GENDERS,
        "group": [{"source": ANIMALS, "target": GENDER, "element": [
            {"code": "cat", "target": [{"code": "female", "equivalence": "wider", "dependsOn": [{"property": "urn:mood", "value": "good"}]}]},
            {"code": "owl", "target": [{"code": "male", "equivalence": "narrower", "comment": "Not all.", "product": [{"property": "urn:p", "value": "v"}]}]},
            {"code": "bird", "target": [{"equivalence": "unmatched"}]},
        ], "unmapped": {"mode": "fixed", "code": "unknown", "display": "Unknown"}}],
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def zoo(fhir):
    for resource in RESOURCES:
        answer = fhir.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text
    return fhir


def parameters(**values):
    return {"resourceType": "Parameters", "parameter": [{"name": k, **v} for k, v in values.items()]}


def ask(client, path, status=200, **query):
    answer = client.get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def found(answer, name):
    return [
        next((v for k, v in row.items() if k != "name"), None)
        for row in answer["parameter"]
        if row["name"] == name
    ]


def codes(answer):
    rows, waiting = [], list(answer["expansion"].get("contains", ()))
    while waiting:
        row = waiting.pop(0)
        rows.append(row["code"])
        waiting = row.get("contains", []) + waiting
    return rows


EXPANSIONS = [
    ({"url": PETS}, ["animal", "cat", "bird", "owl"]),
    ({"url": f"{PETS}|1"}, ["animal", "cat", "bird", "owl"]),
    ({"url": PETS, "excludeNotForUI": "true"}, ["cat", "bird", "owl"]),
    ({"url": PETS, "filter": "chou"}, ["owl"]),
    ({"url": PETS, "offset": "1", "count": "2"}, ["cat", "bird"]),
    ({"url": PETS, "count": "0"}, []),
    ({"url": PETS, "exclude-system": ANIMALS}, []),
    ({"url": f"{ANIMALS}/vs", "activeOnly": "true"}, ["animal", "cat", "bird", "owl"]),
    ({"url": GENDERS}, ["male", "female", "other", "unknown"]),
    ({"url": "http://hl7.org/fhir/ValueSet/currencies", "filter": "eu"}, ["EUR"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), EXPANSIONS)
def test_expand(zoo, query, expected):
    assert codes(ask(zoo, "ValueSet/$expand", **query)) == expected


def test_expand_says_what_it_did(zoo):
    made = ask(
        zoo, "ValueSet/$expand", url=PETS, displayLanguage="fr", includeDesignations="true", property="legs", count="2",
        excludeNested="true",
    )  # fmt: skip
    expansion = made["expansion"]
    assert expansion["total"] == 4
    assert expansion["offset"] == 0
    assert expansion["identifier"].startswith("urn:uuid:")
    assert {"name": "used-codesystem", "valueUri": f"{ANIMALS}|1"} in expansion["parameter"]
    assert {"name": "count", "valueInteger": 2} in expansion["parameter"]
    animal, cat = expansion["contains"]
    assert animal["abstract"] is True
    assert cat["display"] == "Chat"
    assert cat["designation"][0]["value"] == "Cat"
    assert cat["extension"][0]["extension"][1] == {"url": "value", "valueInteger": 4}
    assert "compose" not in made
    with_compose = ask(zoo, "ValueSet/$expand", url=PETS, includeDefinition="true")
    assert "compose" in with_compose


def test_expand_at_an_instance_inline_and_in_xml(zoo):
    assert codes(ask(zoo, f"ValueSet/p{N}/$expand")) == ["animal", "cat", "bird", "owl"]
    inline = {
        "resourceType": "ValueSet",
        "status": "active",
        "compose": {"include": [{"system": ANIMALS, "valueSet": [PETS]}]},
    }
    answer = zoo.post(
        "ValueSet/$expand", json=parameters(valueSet={"resource": inline}, filter={"valueString": "owl"})
    )
    assert codes(answer.json()) == ["owl"]
    xml = zoo.get("ValueSet/$expand", params={"url": PETS}, headers={"Accept": "application/fhir+xml"})
    assert '<code value="owl"/>' in xml.text


REFUSALS = [
    ("ValueSet/$expand", {"url": "http://example.org/nothing"}, 404, "could not be found"),
    ("ValueSet/$expand", {}, 400, "Name the value set"),
    ("ValueSet/$expand", {"url": PETS, "context": "x"}, 400, "context"),
    ("ValueSet/$expand", {"url": PETS, "colour": "red"}, 400, "no parameter"),
    ("ValueSet/$expand", {"url": PETS, "count": "many"}, 400, "count"),
    ("ValueSet/$expand", {"url": PETS, "count": "-1"}, 400, "negative"),
    ("ValueSet/$expand", {"url": PETS, "displayLanguage": "?"}, 400, "displayLanguage"),
    ("ValueSet/$expand", {"url": "http://hl7.org/fhir/ValueSet/mimetypes"}, 422, "grammar"),
    ("ValueSet/$expand", {"url": "http://snomed.info/sct?fhir_vs"}, 422, "could not be found"),
    ("ValueSet/$expand", {"url": PETS, "check-system-version": f"{ANIMALS}|2"}, 422, "could not be found"),
    ("ValueSet/$expand", {"url": PETS, "useSupplement": "urn:none"}, 422, "supplement"),
    ("ValueSet/nothing/$expand", {}, 404, "no ValueSet"),
    ("ValueSet/$validate-code", {"url": PETS}, 400, "Send one of"),
    ("CodeSystem/$validate-code", {"url": "urn:none", "code": "x"}, 404, "could not be found"),
    ("CodeSystem/$lookup", {"system": ANIMALS, "code": "dragon"}, 404, "no code 'dragon'"),
    ("CodeSystem/$lookup", {"system": ANIMALS}, 400, "needs a code"),
    ("CodeSystem/$subsumes", {"system": ANIMALS, "codeA": "cat"}, 400, "needs codeA"),
    ("CodeSystem/$subsumes", {"system": ANIMALS, "codeA": "cat", "codeB": "x"}, 404, "no code 'x'"),
    ("ConceptMap/$translate", {"url": "urn:none", "code": "cat", "system": ANIMALS}, 404, "no ConceptMap"),
    ("Patient/$expand", {"url": PETS}, 404, "operation of ValueSet"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "query", "status", "text"), REFUSALS)
def test_refusals(zoo, path, query, status, text):
    assert text in str(ask(zoo, path, status, **query)["issue"])


CIRCLE = [{"resourceType": "ValueSet", "url": f"urn:{a}", "status": "active", "compose": {"include": [{"valueSet": [f"urn:{b}"]}]}} for a, b in ("xy", "yx")]  # fmt: skip


def test_a_circle_of_value_sets_ends(zoo):
    body = {"resourceType": "Parameters", "parameter": [{"name": "url", "valueUri": "urn:x"}]}
    body["parameter"] += [{"name": "tx-resource", "resource": one} for one in CIRCLE]
    answer = zoo.post("ValueSet/$expand", json=body)
    assert answer.status_code == 422
    assert "Cyclic reference" in answer.text


VALIDATIONS = [
    ("ValueSet", {"url": PETS, "system": ANIMALS, "code": "cat"}, True),
    ("ValueSet", {"url": PETS, "system": ANIMALS, "code": "dodo"}, False),
    ("ValueSet", {"url": PETS, "system": ANIMALS, "code": "Cat"}, False),
    ("ValueSet", {"url": PETS, "system": ANIMALS, "code": "cat", "display": "chat", "displayLanguage": "fr"}, True),
    ("ValueSet", {"url": PETS, "system": ANIMALS, "code": "cat", "display": "Dog"}, False),
    ("ValueSet", {"url": PETS, "system": ANIMALS, "code": "cat", "display": "Dog", "lenient-display-validation": "true"}, True),
    ("ValueSet", {"url": PETS, "system": ANIMALS, "code": "animal", "abstract": "false"}, False),
    ("ValueSet", {"url": PETS, "system": ANIMALS, "code": "animal"}, True),
    ("ValueSet", {"url": PETS, "code": "owl", "inferSystem": "true"}, True),
    ("ValueSet", {"url": f"{ANIMALS}/vs", "system": ANIMALS, "code": "dodo"}, True),
    ("ValueSet", {"url": f"{ANIMALS}/vs", "system": ANIMALS, "code": "dodo", "activeOnly": "true"}, False),
    ("ValueSet", {"url": "http://hl7.org/fhir/ValueSet/ucum-units", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}, True),
    ("ValueSet", {"url": "http://hl7.org/fhir/ValueSet/ucum-units", "system": "http://unitsofmeasure.org", "code": "mm Hg"}, False),
    ("ValueSet", {"url": "http://hl7.org/fhir/ValueSet/all-languages", "system": "urn:ietf:bcp:47", "code": "fr-CA"}, True),
    ("ValueSet", {"url": "http://hl7.org/fhir/ValueSet/iso3166-1-2", "system": "urn:iso:std:iso:3166", "code": "XX"}, False),
    ("CodeSystem", {"url": ANIMALS, "code": "owl"}, True),
    ("CodeSystem", {"url": ANIMALS, "code": "wolf"}, False),
    ("CodeSystem", {"url": "urn:iso:std:iso:4217", "code": "EUR"}, True),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "query", "result"), VALIDATIONS)
def test_validate_code(zoo, type_, query, result):
    answer = ask(zoo, f"{type_}/$validate-code", **query)
    assert found(answer, "result") == [result]
    assert bool(found(answer, "message")) or result


def test_validate_code_at_an_instance_and_of_a_concept(zoo):
    concept = {"coding": [{"system": ANIMALS, "code": "wolf"}, {"system": ANIMALS, "code": "owl"}]}
    body = parameters(codeableConcept={"valueCodeableConcept": concept})
    answer = zoo.post(f"ValueSet/p{N}/$validate-code", json=body).json()
    assert found(answer, "result") == [False]
    assert found(answer, "code") == ["owl"]
    [outcome] = found(answer, "issues")
    assert [one["expression"] for one in outcome["issue"]] == [["CodeableConcept.coding[0].code"]] * 2


def test_lookup(zoo):
    answer = ask(zoo, "CodeSystem/$lookup", system=ANIMALS, code="cat", displayLanguage="fr")
    assert found(answer, "display") == ["Chat"]
    assert found(answer, "definition") == ["Purrs"]
    properties = {part[0]["valueCode"]: part[1] for part in found(answer, "property")}
    assert properties["legs"] == {"name": "value", "valueInteger": 4}
    assert properties["parent"]["valueCode"] == "animal"
    fewer = ask(zoo, f"CodeSystem/a{N}/$lookup", code="cat", property="legs")
    assert [part[0]["valueCode"] for part in found(fewer, "property")] == ["legs"]
    assert not found(fewer, "designation")


SUBSUMED = [
    ("animal", "owl", "subsumes"),
    ("owl", "animal", "subsumed-by"),
    ("cat", "cat", "equivalent"),
    ("cat", "owl", "not-subsumed"),
]


@pytest.mark.parametrize(("a", "b", "outcome"), SUBSUMED)
def test_subsumes(zoo, a, b, outcome):
    assert found(ask(zoo, "CodeSystem/$subsumes", system=ANIMALS, codeA=a, codeB=b), "outcome") == [outcome]
    body = parameters(
        codingA={"valueCoding": {"system": ANIMALS, "code": a}},
        codingB={"valueCoding": {"system": ANIMALS, "code": b}},
    )
    assert found(zoo.post("CodeSystem/$subsumes", json=body).json(), "outcome") == [outcome]


TRANSLATIONS = [
    ({"url": MAP, "system": ANIMALS, "code": "owl"}, True, [("narrower", "male")]),
    ({"system": ANIMALS, "code": "owl", "source": PETS, "target": GENDERS}, True, [("narrower", "male")]),
    ({"system": ANIMALS, "code": "owl", "source": PETS, "target": "urn:other"}, False, []),
    ({"url": MAP, "system": ANIMALS, "code": "owl", "targetsystem": "urn:other"}, False, []),
    ({"url": MAP, "system": ANIMALS, "code": "bird"}, False, [("unmatched", None)]),
    ({"url": MAP, "system": ANIMALS, "code": "wolf"}, True, [("inexact", "unknown")]),
    ({"url": MAP, "system": ANIMALS, "code": "cat"}, False, []),
    ({"url": MAP, "system": GENDER, "code": "male", "reverse": "true"}, True, [("wider", "owl")]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "result", "matches"), TRANSLATIONS)
def test_translate(zoo, query, result, matches):
    answer = ask(zoo, "ConceptMap/$translate", **query)
    assert found(answer, "result") == [result]
    rows = [
        {part["name"]: next(v for k, v in part.items() if k != "name") for part in row}
        for row in found(answer, "match")
    ]
    assert [(row["equivalence"], row.get("concept", {}).get("code")) for row in rows] == matches


def test_translate_with_what_it_depends_on(zoo):
    part = [
        {"name": "element", "valueUri": "urn:mood"},
        {"name": "concept", "valueCodeableConcept": {"coding": [{"code": "good"}]}},
    ]
    body = parameters(code={"valueCode": "cat"}, system={"valueUri": ANIMALS}, dependency={"part": part})
    assert found(zoo.post(f"ConceptMap/m{N}/$translate", json=body).json(), "result") == [True]


def test_closure(zoo):
    def send(**values):
        return zoo.post("$closure", json=parameters(name={"valueString": N}, **values))

    def pairs(answer):
        assert answer.status_code == 200, answer.text
        made = answer.json()
        rows = [
            (e["code"], t["code"]) for g in made.get("group", ()) for e in g["element"] for t in e["target"]
        ]
        return made["version"], sorted(rows)

    def coding(code):
        return {"valueCoding": {"system": ANIMALS, "code": code}}

    assert send(concept=coding("owl")).status_code == 404
    assert pairs(send()) == ("0", [])
    assert pairs(send(concept=coding("owl"))) == ("1", [])
    assert pairs(send(concept=coding("animal"))) == ("2", [("owl", "animal")])
    assert pairs(send(concept=coding("bird"))) == ("3", [("bird", "animal"), ("owl", "bird")])
    assert pairs(send(concept=coding("bird"))) == ("3", [])
    assert pairs(send(version={"valueString": "2"})) == ("3", [("bird", "animal"), ("owl", "bird")])
    assert send(concept=coding("dragon")).status_code == 422
    assert pairs(send()) == ("0", [])


def test_what_is_stored_takes_effect_at_once(zoo):
    changed = {**RESOURCES[1], "compose": {"include": [{"system": ANIMALS, "concept": [{"code": "owl"}]}]}}
    url = f"{PETS}-changing"
    for compose, expected in ((RESOURCES[1]["compose"], 4), (changed["compose"], 1)):
        resource = {**changed, "id": f"c{N}", "url": url, "compose": compose}
        assert zoo.put(f"ValueSet/c{N}", json=resource).status_code in (200, 201)
        assert ask(zoo, "ValueSet/$expand", url=url)["expansion"]["total"] == expected


def test_a_supplement_adds_designations(zoo):
    supplement = {
        "resourceType": "CodeSystem", "id": f"s{N}", "url": f"{ANIMALS}-it", "version": "1", "status": "active", "name": "It",
        "content": "supplement", "supplements": ANIMALS,
        "concept": [{"code": "owl", "designation": [{"language": "it", "value": "Gufo"}]}],
    }  # fmt: skip
    assert zoo.put(f"CodeSystem/s{N}", json=supplement).status_code == 201
    asked = {"url": PETS, "displayLanguage": "it", "filter": "owl"}
    [row] = ask(zoo, "ValueSet/$expand", **asked)["expansion"]["contains"]
    assert row["display"] == "Owl"
    [row] = ask(zoo, "ValueSet/$expand", **asked, useSupplement=f"{ANIMALS}-it")["expansion"]["contains"]
    assert row["display"] == "Gufo"


def test_terminology_capabilities_are_valid_and_true(zoo):
    made = ask(zoo, "metadata", mode="terminology")
    assert zoo.post("TerminologyCapabilities", json=made).status_code == 201
    row = next(one for one in made["codeSystem"] if one["uri"] == ANIMALS)
    assert row["version"] == [{"code": "1", "isDefault": True}]
    sample = {"count": "1", "offset": "0", "system-version": f"{ANIMALS}|1", "check-system-version": f"{ANIMALS}|1",
              "force-system-version": f"{ANIMALS}|1", "useSupplement": f"{ANIMALS}-it", "displayLanguage": "en"}  # fmt: skip
    for parameter in made["expansion"]["parameter"]:
        name = parameter["name"]
        if name == "useSupplement":
            continue
        value = sample.get(name, "true" if name[:2] in ("ac", "in") or name.startswith("exclude") else "x")
        assert zoo.get("ValueSet/$expand", params={"url": PETS, name: value}).status_code == 200, name


def test_the_capability_statement_names_the_operations(zoo):
    rows = {row["type"]: row for row in ask(zoo, "metadata")["rest"][0]["resource"]}
    for type_, names in (
        ("CodeSystem", {"lookup", "validate-code", "subsumes"}),
        ("ValueSet", {"expand", "validate-code"}),
    ):
        offered = {one["name"]: one["definition"] for one in rows[type_]["operation"]}
        assert names <= offered.keys()
        assert offered["validate-code"].endswith(f"{type_}-validate-code")
