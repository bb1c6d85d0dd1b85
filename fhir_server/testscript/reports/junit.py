"""JUnit XML: a suite for each script, a case for each test."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from fhir_server.testscript.reports.text import clean
from fhir_server.testscript.results import ERROR, FAIL, SKIP, Phase, Run, ScriptResult


def junit(run: Run) -> bytes:
    """Return a run as JUnit XML; a setup that did not pass is a case too, warnings are output of passed cases."""
    root = ET.Element(
        "testsuites", name=f"{run.parts.capitalize()}: {clean(run.base)}", time=str(run.seconds)
    )
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for script in run.scripts:
        suite = ET.SubElement(
            root, "testsuite", name=clean(script.name), time=str(script.seconds), timestamp=script.started
        )
        counts = dict.fromkeys(totals, 0)
        for case, result, said in _cases(script):
            counts["tests"] += 1
            element = ET.SubElement(suite, "testcase", classname=clean(script.name), name=clean(case))
            if result in _TAGS:
                tag, counter = _TAGS[result]
                counts[counter] += 1
                ET.SubElement(element, tag, message=clean(said.partition("\n")[0])).text = clean(said)
            elif said:
                ET.SubElement(element, "system-out").text = clean(said)
        suite.attrib |= {name: str(count) for name, count in counts.items()}
        totals = {name: totals[name] + counts[name] for name in totals}
    root.attrib |= {name: str(count) for name, count in totals.items()}
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'.encode()


_TAGS = {FAIL: ("failure", "failures"), ERROR: ("error", "errors"), SKIP: ("skipped", "skipped")}


def _cases(script: ScriptResult) -> list[tuple[str, str, str]]:
    """Return (name, result, what was said) of what a script did."""
    if script.error:
        return [("script", ERROR, script.error)]
    shown = [p for p in script.phases if p.kind == "test" or p.result in {FAIL, ERROR}]
    return [(phase.name, phase.result, _said(phase)) for phase in shown]


def _said(phase: Phase) -> str:
    return "\n".join(f"{s.result}: {s.title}: {s.message}" for s in phase.steps if s.message)
