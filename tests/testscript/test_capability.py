"""What scripts need of a server: compared with its CapabilityStatement, and left out with the reason where it lacks it."""

from __future__ import annotations

import json

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.testscript import Script
from fhir_server.testscript.capability import lacking
from fhir_server.testscript.needs import statement

OFFERED = {
    "format": ["json"], "rest": [{
        "mode": "server", "interaction": [{"code": "batch"}], "operation": [{"name": "$closure", "definition": "urn:a"}],
        "security": {"service": [{"coding": [{"code": "SMART-on-FHIR"}]}]},
        "resource": [{
            "type": "Patient", "interaction": [{"code": "read"}], "searchParam": [{"name": "name", "type": "string"}],
            "operation": [{"name": "everything", "definition": "urn:b"}], "supportedProfile": ["urn:p"],
            "conditionalCreate": True,
        }],
    }],
}  # fmt: skip


@pytest.mark.parametrize(
    ("need", "said"),
    [
        ("Patient.read", ""), ("Patient.patch", "the interaction patch of Patient"),
        (".batch", ""), (".transaction", "the interaction transaction of the system"),
        ("Patient?name", ""), ("Patient?family", "the search parameter family of Patient"),
        ("Patient/$everything", ""), ("Patient/$match", "the operation $match of Patient"),
        ("/$closure", ""), ("/$meta", "the operation $meta of the system"),
        ("Patient profile urn:p", ""), ("Patient profile urn:q", "supportedProfile urn:q of Patient"),
        ("Group.read", "the resource type Group"),
        ("security SMART-on-FHIR", ""), ("security OAuth", "security OAuth"),
    ],
)  # fmt: skip
def test_each_kind_of_need_in_both_directions(need, said):
    assert "; ".join(lacking(statement([need]), OFFERED)) == said


def test_formats_and_conditional_support_are_compared():
    wanted = {"format": ["xml"], "rest": [{"mode": "server", "resource": [
        {"type": "Patient", "conditionalCreate": True, "conditionalDelete": "multiple"}
    ]}]}  # fmt: skip
    assert lacking(wanted, OFFERED) == ["format xml", "conditionalDelete multiple of Patient"]


def test_what_cannot_be_understood_is_no_need():
    with pytest.raises(ValueError, match="Patient read is no need"):
        statement(["Patient read"])


def edited(script, **changes):
    resource = json.loads(json.dumps(script.resource, default=float))
    resource["metadata"]["capability"][0].update(changes)
    return Script(decode(json.dumps(resource).encode()), script.source)


TABLE = {
    "fixtures": {"patient": {"resourceType": "Patient", "active": True}},
    "needs": ["Patient/$colour"], "teardown": [],
}  # fmt: skip


def test_a_script_whose_needs_are_not_met_is_left_out_with_the_reason(run, written):
    done = run(
        [
            written([{"create": "patient"}, {"status": 201}], **TABLE),
            written([{"capabilities": ""}, {"status": 200}]),
        ]
    )
    left = done.scripts[0]
    assert left.lacks == "The server doesn't say that it has the operation $colour of Patient."
    assert (left.result, done.result) == ("skip", "pass")
    assert done.counts() == {"pass": 1, "warning": 0, "skip": 1, "fail": 0, "error": 0}
    assert all(step.exchange is None for _, step in left.steps())


def test_needs_that_are_met_are_a_step_that_passed(run, written):
    [done] = run(
        [written([{"create": "patient"}, {"status": 201}], **{**TABLE, "needs": ["Patient.create"]})]
    ).scripts
    assert (done.result, done.phases[0].name, done.phases[0].result) == ("pass", "capabilities", "pass")


def test_what_is_not_required_is_a_warning(run, written):
    script = edited(written([{"create": "patient"}, {"status": 201}], **TABLE), required=False)
    [done] = run([script]).scripts
    assert (done.result, done.lacks, done.tests()[0].result) == ("warning", "", "pass")


def test_capabilities_that_cannot_be_had_are_an_error(run, written):
    script = written([{"capabilities": ""}, {"status": 200}])
    script = edited(script, validated=True, capabilities="CapabilityStatement/never")
    [done] = run([script]).scripts
    assert (done.result, done.lacks, done.tests()[0].result) == ("error", "", "skip")
    assert "can't be told" in done.phases[0].steps[0].message
