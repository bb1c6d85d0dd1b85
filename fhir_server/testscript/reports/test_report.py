"""TestReport resources: https://hl7.org/fhir/R4/testreport.html."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

from fhir_server import __version__
from fhir_server.datatypes.json_format import encode
from fhir_server.testscript.reports.text import clean
from fhir_server.testscript.results import ERROR, FAIL, PASS, SKIP, WARNING, Phase, Run, ScriptResult, Step


def bundle(run: Run) -> bytes:
    """Return a collection Bundle with a TestReport for each script."""
    entries = [{"resource": test_report(script, run.base)} for script in run.scripts]
    return encode({"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})})


def test_report(script: ScriptResult, base: str) -> dict[str, Any]:
    """Return the TestReport of a script that was run against ``base``.

    Its score is the share of tests that passed. A script that could not be run is a report that was stopped.
    """
    tests = script.tests()
    report: dict[str, Any] = {
        "resourceType": "TestReport",
        "name": script.name,
        "status": "stopped" if script.error else "completed",
        "testScript": {"display": script.title, **({"reference": script.url} if script.url else {})},
        "result": "pass" if script.result in {PASS, WARNING} else "fail",
        "tester": f"fhir-server {__version__}",
        "issued": script.started,
        "participant": [
            {
                "type": "test-engine",
                "uri": "urn:fhir-space-server:testscript",
                "display": f"fhir-server {__version__}",
            },
            {"type": "server", "uri": base},
        ],
    }
    if script.error:
        action = {"operation": {"result": ERROR, "message": _markdown(script.error)}}
        return {**report, "setup": {"action": [action]}}
    if tests:
        passed = sum(test.result in {PASS, WARNING} for test in tests)
        score = Decimal(100 * passed) / len(tests)
        report["score"] = score.quantize(Decimal("0.01"), ROUND_DOWN)
    if setup := [_action(step) for phase in script.phases if phase.kind == "setup" for step in phase.steps]:
        report["setup"] = {"action": setup}
    if tests:
        report["test"] = [_test(test) for test in tests]
    teardown = [
        {"operation": _action(step)["operation"]}
        for phase in script.phases if phase.kind == "teardown" for step in phase.steps if step.kind == "operation"
    ]  # fmt: skip
    if teardown:
        report["teardown"] = {"action": teardown}
    return report


def _test(test: Phase) -> dict[str, Any]:
    named = {"name": test.name, **({"description": test.description} if test.description else {})}
    return {**named, "action": [_action(step) for step in test.steps]}


def _action(step: Step) -> dict[str, Any]:
    content: dict[str, Any] = {"result": step.result}
    said = step.message or ("" if step.result in {FAIL, SKIP, WARNING, ERROR} else step.title)
    if said:
        content["message"] = _markdown(said)
    if step.exchange is not None and step.exchange.url.startswith("http"):
        content["detail"] = step.exchange.url
    return {step.kind: content}


def _markdown(text: str) -> str:
    return clean(text).strip() or "-"
