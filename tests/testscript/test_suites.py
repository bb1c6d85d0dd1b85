"""Our own suites: valid TestScripts that pass on our server and cite the specification; requirements say what is proven."""

from __future__ import annotations

import re

import pytest

from fhir_server.definitions.content import content_folder
from fhir_server.testscript import Endpoints
from fhir_server.testscript.collecting import collect
from fhir_server.testscript.requirements import proofs, read_requirements
from fhir_server.testscript.results import completed
from fhir_server.testscript.script import complaints
from fhir_server.testscript.suites import TableError, scripts

SCRIPTS = collect([])
REQUIREMENTS = read_requirements(content_folder("conformance"))


def labels():
    for script in SCRIPTS:
        for test in script.resource["test"]:
            for action in test["action"]:
                yield from action.get("assert", {}).get("label", "").split()


@pytest.fixture(scope="module")
def own_base(site_with):
    """The base of a server that has the profiles of the space, as one that is started without settings has."""
    with site_with({"content.load": True}) as site:
        yield str(site.base_url.join("fhir"))


@pytest.fixture(scope="module")
def signed_in_base(site_with, own_base):  # after the other: they share a database
    """The base of a server where callers sign in."""
    with site_with({"auth.dev_server": True}) as site:
        yield str(site.base_url.join("fhir"))


def test_all_pass_on_our_servers(run, own_base, signed_in_base):
    opened = run(SCRIPTS, endpoints=Endpoints({1: own_base}))
    left = [script for script, it in zip(SCRIPTS, opened.scripts, strict=True) if it.lacks]
    assert {script.name.partition("_")[0] for script in left} == {"smart"}
    result = completed(opened, run(left, endpoints=Endpoints({1: signed_in_base})))
    bad = {
        s.name: s.error or [step.message for _, step in s.steps() if step.message]
        for s in result.scripts
        if s.result != "pass"
    }
    assert bad == {}
    assert sum(result.counts().values()) == len(SCRIPTS) >= 460
    proven = {proof.requirement.id for proof in proofs(result, REQUIREMENTS) if proof.result == "pass"}
    assert proven == set(labels())


def test_scripts_are_valid_and_have_names_of_their_own(judge):
    endpoints = Endpoints({1: "http://127.0.0.1/fhir"})
    assert {s.name: said for s in SCRIPTS if (said := complaints(s, judge[1], endpoints))} == {}
    assert len({script.name for script in SCRIPTS}) == len(SCRIPTS)


def test_each_assertion_cites_its_page():
    page = re.compile(
        r"\((https://hl7\.org/fhir/R4/[a-z_-]+\.html(#[\w.-]+)?|https?://hl7\.org/fhir/smart-app-launch/STU2\.2/\w+\.html"
        r"|https://health-space\.example/fhir/(StructureDefinition|OperationDefinition)/[a-z-]+"
        r"|https://www\.rfc-editor\.org/rfc/rfc\d+#[\w.-]+)\)$"
    )
    for script in SCRIPTS:
        asserted = [a["assert"] for t in script.resource["test"] for a in t["action"] if "assert" in a]
        assert asserted, script.name
        assert all(page.search(it["description"]) for it in asserted), script.name


def test_each_requirement_is_proven_or_says_why_not():
    used = set(labels())
    assert used <= {requirement.id for requirement in REQUIREMENTS}
    assert {r.id for r in REQUIREMENTS if (r.id in used) == bool(r.unproven)} == set()
    assert len({requirement.id for requirement in REQUIREMENTS}) == len(REQUIREMENTS)


@pytest.mark.parametrize("step", ["{read: Patient/1, colour: blue}", "{create: [1]}"])
def test_a_table_that_cannot_be_understood_is_refused(step, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(f"page: http.html\ntests:\n  - {{name: a, says: b, steps: [{step}]}}\n")
    with pytest.raises(TableError, match='the test "a"'):
        list(scripts(file))
