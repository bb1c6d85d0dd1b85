"""How a script is carried out: phases, fixtures, variables, requests; on the running application."""

from __future__ import annotations

import json

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.testscript import Bearer, Endpoints, Script, read_script

SEARCH = {"search": "Patient?identifier=urn:x|${UUID}", "as": "found"}
PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "${UUID}"}], "active": True}


def results(script):
    return {phase.name: [step.result for step in phase.steps] for phase in script.phases}


def changed(script, **elements):
    """Return a script with other elements; None takes one out."""
    resource = {n: v for n, v in {**script.resource, **elements}.items() if v is not None}
    return Script(decode(json.dumps(resource, default=float).encode()), script.source, script.folder)


def one(run, script, **how):
    [result] = run([script], **how).scripts
    return result


def test_fixtures_are_created_and_deleted(run, written, fhir):
    script = written(
        [{"read": "", "target": "patient"}, {"status": 200}, {"true": "Patient.active"}],
        fixtures={"patient": PATIENT},
    )
    fixture = {**script.resource["fixture"][0], "autocreate": True}
    result = one(run, changed(script, fixture=[fixture]))
    assert [(p.kind, p.name, p.result) for p in result.phases] == [
        ("setup", "fixtures", "pass"), ("test", "one", "pass"), ("teardown", "fixtures", "pass"),
    ]  # fmt: skip
    created, read = result.phases[0].steps[0].exchange, result.phases[1].steps[0].exchange
    assert (created.method, created.status, read.status) == ("POST", 201, 200)
    assert fhir.get(read.url).status_code == 410


def test_a_fixture_that_cannot_be_created_skips_the_tests(run, written):
    script = written(
        [{"read": "", "target": "bad"}], fixtures={"bad": {"content": "application/fhir+json", "text": "{"}}
    )
    result = one(run, changed(script, fixture=[{**script.resource["fixture"][0], "autocreate": True}]))
    assert result.result == "error"
    assert results(result)["one"] == ["skip"]


def test_a_setup_that_fails_skips_the_tests_and_the_teardown_runs(run, written):
    script = written(
        [{"read": "Patient/x"}], setup=[{"read": "Patient/x"}, {"status": 200}, {"read": "Patient/y"}],
    )  # fmt: skip
    teardown = {
        "action": [
            {"operation": a["operation"]}
            for a in written([{"read": "Patient/z"}]).resource["test"][0]["action"]
        ]
    }
    result = one(run, changed(script, teardown=teardown))
    assert results(result) == {"setup": ["pass", "fail", "skip"], "one": ["skip"], "teardown": ["pass"]}
    assert result.result == "fail"


def test_a_failure_ends_its_test_and_not_the_next(run, written):
    script = written([{"read": "Patient/x"}, {"status": 200}, {"status": 404}])
    second = {**script.resource["test"][0], "name": "two", "action": script.resource["test"][0]["action"][2:]}
    result = one(run, changed(script, test=[script.resource["test"][0], second]))
    assert results(result) == {"one": ["pass", "fail", "skip"], "two": ["pass"]}


def test_a_warning_does_not_stop(run, written):
    result = one(run, written([{"read": "Patient/x"}, {"status": 200, "warning": True}, {"status": 404}]))
    assert results(result) == {"one": ["pass", "warning", "pass"]}
    assert result.result == "warning"


VARIABLES = [
    ({"expression": "Patient.id", "sourceId": "made"}, "${v}"),
    ({"path": "$.id", "sourceId": "made"}, "${v}"),
    ({"path": "f:Patient/f:id/@value", "sourceId": "made"}, "${v}"),
    ({"headerField": "X-None", "sourceId": "made", "defaultValue": "${w}"}, "${v}"),
    ({"expression": "Patient.photo", "sourceId": "made", "defaultValue": "${w}"}, "${v}"),
    ({"defaultValue": "${w}"}, "${v}"),
]


@pytest.mark.parametrize(("variable", "use"), VARIABLES)
def test_variables(variable, use, run, written):
    script = written(
        [{"create": "patient", "as": "made"}, {"read": f"Patient/{use}"}, {"status": 200}],
        fixtures={"patient": PATIENT}, variables={"v": variable},
    )  # fmt: skip
    other = {"name": "w", "expression": "Patient.id", "sourceId": "made"}
    result = one(run, changed(script, variable=[*script.resource["variable"], other]))
    assert results(result)["one"] == ["pass"] * 3


def test_a_variable_that_is_given_outranks_and_one_without_value_is_an_error(run, written):
    script = written(
        [{"read": "Patient/${v}"}, {"requestURL": "/Patient/chosen", "operator": "contains"}],
        variables={"v": {"hint": "an id"}},
    )  # fmt: skip
    assert one(run, script, variables={"v": "chosen"}).result == "pass"
    result = one(run, script)
    assert (
        result.phases[0].steps[0].message == 'The variable "v" has no value; give --variable v=VALUE (an id).'
    )


REQUESTS = [
    ({"read": "Patient/x"}, "GET", "/Patient/x", {}),
    ({"read": "Patient/x?_summary=true"}, "GET", "/Patient/x?_summary=true", {}),
    ({"vread": "Patient/x/_history/1"}, "GET", "/Patient/x/_history/1", {}),
    ({"vread": "", "target": "made"}, "GET", "/Patient/ID/_history/1", {}),
    ({"history": "", "target": "made"}, "GET", "/Patient/ID/_history", {}),
    ({"history": "Patient?_count=1"}, "GET", "/Patient/_history?_count=1", {}),
    ({"history": "?_count=1"}, "GET", "/_history?_count=1", {}),
    ({"search": "Patient?family=a b|c"}, "GET", "/Patient?family=a%20b%7Cc", {}),
    (
        {"search": "Patient?family=a", "method": "post"},
        "POST",
        "/Patient/_search",
        {"content-type": "application/x-www-form-urlencoded"},
    ),
    (
        {"update": "patient", "target": "made"},
        "PUT",
        "/Patient/ID",
        {"content-type": "application/fhir+json"},
    ),
    (
        {"update": "Patient?identifier=x|${UUID}", "from": "patient"},
        "PUT",
        "/Patient?identifier=x%7CUUID",
        {},
    ),
    ({"delete": "", "target": "made"}, "DELETE", "/Patient/ID", {}),
    (
        {"deleteCondSingle": "Patient?identifier=none|${UUID}"},
        "DELETE",
        "/Patient?identifier=none%7CUUID",
        {},
    ),
    ({"capabilities": ""}, "GET", "/metadata", {"accept": "application/fhir+json"}),
    (
        {"$validate": "Patient", "from": "patient", "accept": "xml"},
        "POST",
        "/Patient/$validate",
        {"accept": "application/fhir+xml"},
    ),
    ({"$meta": "", "target": "made"}, "GET", "/Patient/ID/$meta", {}),
    ({"request": "OPTIONS Patient"}, "OPTIONS", "/Patient", {}),
    ({"create": "patient", "content": "xml"}, "POST", "/Patient", {"content-type": "application/fhir+xml"}),
    (
        {"read": "Patient/x", "accept": "none", "headers": {"X-Y": "${UUID}"}},
        "GET",
        "/Patient/x",
        {"x-y": "UUID"},
    ),
]


@pytest.mark.parametrize(
    ("step", "method", "place", "headers"), REQUESTS, ids=[next(iter(r[0])) + r[2] for r in REQUESTS]
)
def test_requests(step, method, place, headers, run, written, base):  # noqa: PLR0917 (a row of the table and fixtures)
    script = written([{"create": "patient", "as": "made"}, step], fixtures={"patient": PATIENT})
    result = one(run, script)
    assert result.error == ""
    [_, made] = result.tests()[0].steps
    created = result.tests()[0].steps[0].exchange
    unique = json.loads(created.request_body)["identifier"][0]["value"]
    where = created.response_headers["location"].split("/")[-3]
    sent = made.exchange
    assert sent.method == method
    assert sent.url == base + place.replace("/ID", f"/{where}").replace("UUID", unique)
    assert headers.items() <= {n: v.replace(unique, "UUID") for n, v in sent.request_headers.items()}.items()


def test_a_url_can_go_out_as_it_is_written(run, written):
    script = written([{"search": "Patient?identifier=a|b", "encodeRequestUrl": False}, {"status": "200,400"}])
    assert one(run, script).result == "pass"


REFUSED = [
    (
        {"origin": None, "destination": [{"index": 2, "profile": {"code": "FHIR-Server"}}]},
        "Destination 2 has no base URL",
    ),
    ({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, "modifier extensions"),
    ({"test": None}, "neither a setup nor tests"),
    ({"status": "finished"}, "TestScript.status"),
    ({"fixture": [{"autocreate": False, "autodelete": False}]}, "A fixture without id"),
]


@pytest.mark.parametrize(("elements", "said"), REFUSED, ids=[next(reversed(row[0])) for row in REFUSED])
def test_what_is_not_supported_is_refused_before_anything_is_sent(elements, said, run, written):
    result = one(run, changed(written([{"read": "Patient/x"}, {"status": 404}]), **elements))
    assert said in result.error
    assert result.phases == ()


def test_an_unknown_id_is_refused(run, written):
    assert (
        'targetId "nobody" is the id of no fixture'
        in one(run, written([{"read": "", "target": "nobody"}])).error
    )


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"expression": "Patient.(", "operator": "eval"}, "The FHIRPath expression can't be used"),
        ({"path": "$[", "equals": "x"}, "is no JSONPath"),
        ({"path": "f:Patient[", "equals": "x"}, "is no XPath"),
        ({"header": "ETag", "operator": "equals"}, "The operator equals needs a value."),
        ({"header": "ETag", "operator": "eval"}, "eval goes with an expression"),
        ({"expression": "Patient.id", "equals": "${nothing}"}, 'The variable "nothing" is not declared.'),
    ],
)
def test_an_assertion_that_cannot_be_judged_is_an_error(step, said, run, written):
    result = one(run, written([{"search": "Patient?_count=1"}, step]))
    assert result.result == "error"
    assert said in result.phases[0].steps[1].message


def test_several_destinations_and_origins(run, written, base):
    script = written([{"read": "Patient/x", "destination": 2, "origin": 2}, {"status": 404}])
    script = changed(
        script, destination=[{"index": 1, "profile": {"code": "FHIR-Server"}}, {"index": 2, "profile": {"code": "FHIR-Server"}}],
        origin=[{"index": 1, "profile": {"code": "FHIR-Client"}}, {"index": 2, "profile": {"code": "FHIR-Client"}}],
    )  # fmt: skip
    endpoints = Endpoints({1: "http://127.0.0.1:9/fhir", 2: base}, {2: Bearer("a-secret-token")})
    result = one(run, script, endpoints=endpoints)
    assert result.result == "pass"
    sent = result.phases[0].steps[0].exchange
    assert sent.request_headers["authorization"] == "•••"
    assert "a-secret-token" not in str(result)


def test_a_server_that_is_gone_is_an_error(run, written):
    result = one(run, written([{"read": "Patient/x"}]), endpoints=Endpoints({1: "http://127.0.0.1:9/fhir"}))
    assert result.result == "error"
    assert result.phases[0].steps[0].message.startswith("No answer came: ConnectError")


def test_fixtures_lie_beside_the_script(run, written, tmp_path):
    (tmp_path / "patient.json").write_text('{"resourceType": "Patient", "active": true}')
    (tmp_path / "patient.xml").write_text(
        '<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
    )
    script = written(
        [{"create": "a", "as": "made"}, {"status": 201}, {"minimum": "b"}],
        fixtures={"a": PATIENT, "b": PATIENT},
    )
    fixtures = [
        {"id": id_, "autocreate": False, "autodelete": id_ == "a", "resource": {"reference": file}}
        for id_, file in (("a", "patient.json"), ("b", "patient.xml"))
    ]
    script = changed(script, fixture=fixtures, contained=None)
    result = one(run, Script(script.resource, "x.json", tmp_path))
    assert result.result == "pass", result
    outside = [{**fixtures[0], "resource": {"reference": "../../../../../../../etc/hostname"}}, fixtures[1]]
    assert one(run, Script({**script.resource, "fixture": outside}, "x.json", tmp_path)).result == "error"


def test_a_script_in_xml_says_the_same(run, written, judge, tmp_path):
    script = written(
        [{"create": "patient", "as": "made"}, {"status": 201}, {"true": "Patient.active"}],
        fixtures={"patient": PATIENT},
    )
    xml = XmlFormat(judge[0].types)
    file = tmp_path / "script.xml"
    file.write_bytes(xml.encode(script.resource))
    read = read_script(file, xml)
    assert read is not None
    assert read.resource == script.resource
    assert one(run, read).result == "pass"


def test_a_profile_beside_the_script_is_taken(run, written, tmp_path):
    profile = {
        "resourceType": "StructureDefinition", "url": "http://example.org/conformance/nameless", "name": "Nameless", "status": "draft",
        "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "max": "0"}]},
    }  # fmt: skip
    (tmp_path / "nameless.json").write_text(json.dumps(profile))
    named = {**PATIENT, "name": [{"family": "X"}]}
    steps = [{"create": "a"}, {"profile": "p"}, {"create": "b"}, {"profile": "p"}]
    script = written(steps, fixtures={"a": PATIENT, "b": named})
    script = changed(script, profile=[{"id": "p", "reference": "nameless.json"}])
    result = one(run, Script(script.resource, "x.json", tmp_path))
    assert results(result)["one"] == ["pass", "pass", "pass", "fail"]
    assert result.tests()[0].steps[3].message.startswith("Patient.name: ")


def test_a_profile_that_cannot_be_had_is_an_error(run, written):
    script = changed(
        written([{"read": "Patient/x"}]), profile=[{"id": "p", "reference": "http://127.0.0.1:9/none"}]
    )
    result = one(run, script)
    assert (result.result, result.phases[0].name) == ("error", "fixtures")


def test_relative_canonicals_of_capabilities_do_not_matter(run, written):
    capability = {"required": True, "validated": False, "capabilities": "CapabilityStatement/example"}
    script = changed(written([{"read": "Patient/x"}, {"status": 404}]), metadata={"capability": [capability]})
    assert one(run, script).result == "pass"


def test_a_fixture_is_created_on_each_destination_as_it_is(run, written, base, fhir):
    script = written(
        [{"read": "", "target": "a", "destination": 2}, {"status": 200}], fixtures={"a": PATIENT}
    )
    fixture = {**script.resource["fixture"][0], "autocreate": True}
    servers = [{"index": index, "profile": {"code": "FHIR-Server"}} for index in (1, 2)]
    result = one(
        run, changed(script, fixture=[fixture], destination=servers), endpoints=Endpoints({1: base, 2: base})
    )
    first, second = (step.exchange for step in result.phases[0].steps)
    assert first.request_body == second.request_body
    assert result.result == "pass"
    assert [fhir.get(step.exchange.url).status_code for step in result.phases[-1].steps] == [410, 410]


def test_only_what_was_stored_is_deleted(run, written):
    script = written([{"$validate": "Patient", "from": "a"}, {"status": 200}], fixtures={"a": PATIENT})
    assert [phase.name for phase in one(run, script).phases] == ["one"]


def test_a_teardown_has_time_of_its_own(run, written):
    script = written([{"read": "Patient/x"}, {"status": 404}])
    teardown = {
        "action": [
            {"operation": a["operation"]} for a in script.resource["test"][0]["action"] if "operation" in a
        ]
    }
    result = one(run, changed(script, teardown=teardown), script_limit_s=-1.0)
    assert results(result) == {"one": ["skip", "skip"], "teardown": ["pass"]}


def test_headers_may_hold_any_text(run, written):
    script = written(
        [
            {"read": "Patient/x", "headers": {"X-Name": "Zoë"}},
            {"header": "X-Name", "equals": "Zoë", "direction": "request"},
        ]
    )
    assert one(run, script).result == "pass"
