"""What the CapabilityStatement advertises is driven, and what it doesn't advertise is refused.

A sample of the types; all of them with CAPABILITIES_WHOLE=1 (``make advertised``). Modifiers aren't part of a
CapabilityStatement: those of R4 for the type of an advertised parameter must work, all others be refused.
"""

from __future__ import annotations

import os

import pytest

IS_WHOLE = bool(os.environ.get("CAPABILITIES_WHOLE"))
SAMPLE = (
    "Patient", "Observation", "Consent", "DocumentReference", "RelatedPerson", "ExplanationOfBenefit", "Location",
    "ValueSet", "StructureDefinition", "Binary", "Composition", "Encounter", "RiskAssessment",
)  # fmt: skip
#: https://hl7.org/fhir/R4/search.html#modifiers, by the type of the parameter; and all modifiers that there are.
MODIFIERS = {
    "string": {"missing", "exact", "contains"}, "number": {"missing"}, "date": {"missing"}, "quantity": {"missing"},
    "token": {"missing", "text", "not", "above", "below", "in", "not-in", "of-type"},
    "reference": {"missing", "identifier", "above", "below", "Patient"}, "uri": {"missing", "above", "below"},
    "composite": set(),
}  # fmt: skip
ALL = {
    "missing",
    "exact",
    "contains",
    "text",
    "not",
    "above",
    "below",
    "in",
    "not-in",
    "of-type",
    "identifier",
    "colour",
}
#: A value of each type of parameter, and those that a modifier wants instead.
VALUES = {
    "string": "a", "number": "1", "date": "2020", "quantity": "1", "token": "true", "reference": "Patient/x", "uri": "urn:a",
    "special": "1|1|1|km",
}  # fmt: skip
OF_MODIFIER = {
    "missing": "true", "identifier": "urn:a|b", "in": "http://hl7.org/fhir/ValueSet/administrative-gender",
    "not-in": "http://hl7.org/fhir/ValueSet/administrative-gender", "of-type": "urn:a|b|c", "Patient": "x",
    "above": "http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB", "below": "http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB",
}  # fmt: skip
PREFIXES = {"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}
DRY = {"X-Dry-Run": "true"}
#: One request for each interaction of a type; an id that nobody has.
INTERACTIONS = {
    "read": ("GET", "{}/nobody"), "vread": ("GET", "{}/nobody/_history/1"), "update": ("PUT", "{}/nobody"),
    "patch": ("PATCH", "{}/nobody"), "delete": ("DELETE", "{}/nobody"), "history-instance": ("GET", "{}/nobody/_history"),
    "history-type": ("GET", "{}/_history?_count=1"), "create": ("POST", "{}"), "search-type": ("GET", "{}?_count=1"),
}  # fmt: skip
SYSTEM = {
    "transaction": ("POST", "", {"resourceType": "Bundle", "type": "transaction"}),
    "batch": ("POST", "", {"resourceType": "Bundle", "type": "batch"}),
    "history-system": ("GET", "_history?_count=1", None), "search-system": ("GET", "?_type=Patient&_count=1", None),
}  # fmt: skip


@pytest.fixture(scope="module")
def served(site_with):
    """A client of a server with the profiles of the space, and its statement."""
    with site_with({"content.load": True}) as site:
        site.base_url = site.base_url.join("fhir/")
        yield site, site.get("metadata").json()


@pytest.fixture(scope="module")
def rows(served):
    """The rows of the types that are driven."""
    return [row for row in served[1]["rest"][0]["resource"] if IS_WHOLE or row["type"] in SAMPLE]


def is_unsupported(answer) -> bool:
    """Tell whether an answer says that the server doesn't do this at all."""
    if answer.status_code in {405, 501}:
        return True
    if answer.status_code < 400 or answer.status_code == 415:  # another format is wanted, of what is there
        return False
    return "not-supported" in {issue["code"] for issue in answer.json()["issue"]}


def value_of(parameter):
    kind = parameter["type"]
    if kind == "composite":
        return "$".join(["2020"] * (3 if parameter["name"].endswith("-coordinate") else 2))
    return VALUES[kind]


def test_every_interaction_of_a_type(served, rows):
    fhir = served[0]
    for row in rows:
        codes = {it["code"] for it in row["interaction"]}
        for code, (method, path) in INTERACTIONS.items():
            body = {"json": {"resourceType": row["type"]}} if method in {"PUT", "POST", "PATCH"} else {}
            answer = fhir.request(method, path.format(row["type"]), headers=DRY, **body)
            assert is_unsupported(answer) == (code not in codes), (row["type"], code, answer.text)


def test_every_interaction_of_the_system(served):
    fhir, statement = served
    codes = {it["code"] for it in statement["rest"][0]["interaction"]}
    assert codes == set(SYSTEM)
    for code in codes:
        method, path, body = SYSTEM[code]
        answer = fhir.request(method, path, json=body)
        assert answer.status_code == 200, (code, answer.text)


def test_every_parameter_and_no_other(served, rows):
    fhir = served[0]
    for row in rows:
        for parameter in row["searchParam"]:
            answer = fhir.get(row["type"], params={parameter["name"]: value_of(parameter), "_count": "1"})
            assert answer.status_code == 200, (row["type"], parameter, answer.text)
        names = {parameter["name"] for parameter in row["searchParam"]}
        others = {p["name"] for r in served[1]["rest"][0]["resource"] for p in r["searchParam"]} - names
        for name in [*sorted(others)[:: 1 if IS_WHOLE else 40], "colour", "_query"]:
            assert fhir.get(row["type"], params={name: "1"}).status_code == 400, (row["type"], name)


def test_every_parameter_of_all_searches(served):
    fhir, statement = served
    values = {"_filter": 'name eq "x"', "_list": "x", "_type": "Patient,Group"}
    for parameter in statement["rest"][0]["searchParam"]:
        if parameter["name"] == "_has":
            path, params = "Patient", {"_has:Observation:patient:code": "x"}
        else:
            path, params = (
                "" if parameter["name"] == "_type" else "Patient",
                {parameter["name"]: values[parameter["name"]]},
            )
        answer = fhir.get(path, params=params)
        assert answer.status_code == 200, (parameter, answer.text)


def test_every_modifier_and_no_other(served, rows):
    fhir = served[0]
    seen = set()
    for row in rows:
        for parameter in row["searchParam"]:
            allowed = MODIFIERS.get(parameter["type"])
            key = (parameter["type"], parameter["name"].startswith("_"))
            if allowed is None or parameter["name"].startswith("_") or (not IS_WHOLE and key in seen):
                continue
            seen.add(key)
            for modifier in ALL | allowed:
                if modifier in {"above", "below", "Patient"} and parameter["type"] == "reference":
                    continue  # hangs on the targets of the parameter: the next test
                if modifier == "of-type" and parameter["type"] == "token":
                    continue  # for identifiers only, the next test too
                value = OF_MODIFIER.get(modifier, value_of(parameter))
                value = "http://example.org/a" if parameter["type"] == "uri" else value
                value = "true" if modifier == "missing" else value
                name = f"{parameter['name']}:{modifier}"
                answer = fhir.get(row["type"], params={name: value, "_count": "1"})
                assert (answer.status_code == 200) == (modifier in allowed), (row["type"], name, answer.text)
    assert {key[0] for key in seen} == set(MODIFIERS) | set()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("Patient?identifier:of-type=urn:a|b|c", 200), ("Patient?gender:of-type=urn:a|b|c", 400),
        ("Observation?subject:Patient=x", 200), ("Observation?subject:Practitioner=x", 400),
        ("Location?partof:below=x", 200), ("Location?partof:above=x", 200), ("Observation?subject:colour=x", 400),
    ],
)  # fmt: skip
def test_modifiers_that_hang_on_the_element(served, query, status):
    assert served[0].get(query).status_code == status


def test_every_prefix_and_no_other(served, rows):
    fhir = served[0]
    for row in rows:
        for parameter in row["searchParam"]:
            if parameter["type"] not in {"date", "number", "quantity"}:
                continue
            for prefix in PREFIXES:
                answer = fhir.get(
                    row["type"], params={parameter["name"]: prefix + VALUES[parameter["type"]], "_count": "1"}
                )
                assert answer.status_code == 200, (row["type"], parameter, prefix, answer.text)
            answer = fhir.get(row["type"], params={parameter["name"]: "xx" + VALUES[parameter["type"]]})
            assert answer.status_code == 400, (row["type"], parameter)


def test_every_include(served, rows):
    fhir = served[0]
    for row in rows:
        for name in ("searchInclude", "searchRevInclude"):
            wanted = row[name] if IS_WHOLE else row[name][::10]
            for value in wanted:
                key = "_include" if name == "searchInclude" else "_revinclude"
                answer = fhir.get(row["type"], params={key: value, "_count": "1"})
                assert answer.status_code == 200, (row["type"], value, answer.text)


def test_every_operation_and_no_other(served, rows):
    """An advertised operation is there at its type or at an instance; others of other types are not."""
    fhir, statement = served
    everywhere = {op["name"] for r in statement["rest"][0]["resource"] for op in r.get("operation", [])}
    for row in rows:
        offered = {op["name"] for op in row.get("operation", [])}
        for name in everywhere | {"colour"}:
            paths = (f"{row['type']}/${name}", f"{row['type']}/nobody/${name}")
            body = {"resourceType": "Parameters"}
            tries = [
                fhir.request(method, path, headers=DRY, **({"json": body} if method == "POST" else {}))
                for path in paths for method in ("GET", "POST")
            ]  # fmt: skip
            assert any(not is_unsupported(it) for it in tries) == (name in offered), (row["type"], name)


def test_every_operation_of_the_system(served):
    fhir, statement = served
    for operation in statement["rest"][0]["operation"]:
        tries = [
            fhir.get(f"${operation['name']}"),
            fhir.post(f"${operation['name']}", json={"resourceType": "Parameters"}),
        ]
        assert any(not is_unsupported(it) for it in tries), operation
    assert is_unsupported(fhir.get("$everything"))


@pytest.mark.parametrize("name", ["ttl", "text/turtle", "application/fhir+turtle", "application/pdf", "csv"])
def test_no_other_format(served, name):
    assert served[0].get("Patient", params={"_format": name}).status_code == 406
    if "/" in name:
        assert served[0].get("Patient", headers={"Accept": name}).status_code == 406
        assert served[0].post("Patient", content=b"x", headers={"Content-Type": name}).status_code == 415


def test_every_format(served):
    fhir, statement = served
    for name in statement["format"]:
        kind = "application/fhir+xml" if "xml" in name else "application/fhir+json"
        for how in ({"params": {"_format": name}}, {"headers": {"Accept": name}} if "/" in name else {}):
            answer = fhir.get("Patient", **how)
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(kind) or not how


def test_every_patch_format_and_no_other(served):
    fhir, statement = served
    made = fhir.post("Patient", json={"resourceType": "Patient", "active": True}).json()["id"]
    bodies = {
        "application/json-patch+json": b'[{"op": "replace", "path": "/active", "value": false}]',
        "application/xml-patch+xml": b'<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:active/@value">true</replace></diff>',
        "application/fhir+json": b'{"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [{"name": "type", "valueCode":'
        b' "replace"}, {"name": "path", "valueString": "Patient.active"}, {"name": "value", "valueBoolean": false}]}]}',
        "application/fhir+xml": b'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/>'
        b'<valueCode value="delete"/></part><part><name value="path"/><valueString value="Patient.active"/></part></parameter></Parameters>',
    }
    assert set(statement["patchFormat"]) == set(bodies)
    for name in statement["patchFormat"]:
        answer = fhir.patch(f"Patient/{made}", content=bodies[name], headers={"Content-Type": name})
        assert answer.status_code == 200, (name, answer.text)
    assert (
        fhir.patch(f"Patient/{made}", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    )


def test_every_profile_is_known(served):
    fhir, statement = served
    profiles = [
        (row["type"], url)
        for row in statement["rest"][0]["resource"]
        for url in row.get("supportedProfile", [])
    ]
    assert len(profiles) > 20
    for type_, url in profiles:
        body = {"resourceType": "Parameters", "parameter": [
            {"name": "profile", "valueUri": url}, {"name": "resource", "resource": {"resourceType": type_}},
        ]}  # fmt: skip
        answer = fhir.post(f"{type_}/$validate", json=body)
        assert answer.status_code == 200, (url, answer.text)
    unknown = {"resourceType": "Parameters", "parameter": [
        {"name": "profile", "valueUri": "urn:never"}, {"name": "resource", "resource": {"resourceType": "Patient"}},
    ]}  # fmt: skip
    assert fhir.post("Patient/$validate", json=unknown).status_code == 422


def test_conditional_interactions_are_as_advertised(served, rows):
    fhir = served[0]
    for row in rows:
        assert (row["conditionalCreate"], row["conditionalUpdate"], row["conditionalRead"]) == (
            True,
            True,
            "full-support",
        )
        assert row["conditionalDelete"] == "single"
        for method in ("PUT", "PATCH", "DELETE"):
            body = {"json": {"resourceType": row["type"]}} if method != "DELETE" else {}
            answer = fhir.request(method, f"{row['type']}?_id=nobody", headers=DRY, **body)
            assert not is_unsupported(answer), (row["type"], method, answer.text)


def test_every_compartment(served):
    fhir, statement = served
    for url in statement["rest"][0]["compartment"]:
        name = url.rpartition("/")[2]
        type_ = {"relatedPerson": "RelatedPerson"}.get(name, name[0].upper() + name[1:])
        assert fhir.get(f"{type_}/nobody/Observation").status_code == 200, url
    assert (
        is_unsupported(fhir.get("Location/nobody/Observation"))
        or fhir.get("Location/nobody/Observation").status_code == 404
    )
