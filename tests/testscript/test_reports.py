"""Each form of a run says what the run says, is well-formed, and shows nothing that it must not."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.testscript import read_run, write_run
from fhir_server.testscript.comparison import compare
from fhir_server.testscript.reports import REPORTS, write_reports
from fhir_server.testscript.reports.test_report import test_report as as_test_report
from fhir_server.testscript.requirements import Requirement, proofs
from fhir_server.testscript.results import Exchange, Phase, Run, ScriptResult, Step

EVIL = '<script>alert("x")</script>\x07&'
SENT = Exchange("GET", "http://h/fhir/Patient/1", {"accept": "x"}, EVIL, 200, {"etag": "y"}, EVIL, 0.01)
WENT = Step("operation", "pass", "read", exchange=SENT)


def a_test(name, *steps):
    return Phase("test", name, "", steps)


def script(name, *phases, error=""):
    return ScriptResult(
        name,
        f"Title of {name}",
        f"urn:x:{name}",
        "file",
        name,
        "2026-01-01T00:00:00+00:00",
        1.5,
        phases,
        error,
    )


RUN = Run("http://h/fhir", "2026-01-01T00:00:00+00:00", 3.0, (
    script("good", Phase("setup", "setup", "", (WENT,)), a_test("a", WENT, Step("assert", "pass", "it is", "r-1")), Phase("teardown", "t", "", (WENT,))),
    script("bad", a_test("b", WENT, Step("assert", "fail", "it is", "r-1 r-2", f"=1+1 {EVIL}"), Step("assert", "skip", "later", "r-2", "A step before it did not pass."))),
    script("warned", a_test("c", Step("assert", "warning", "it is", "own", "It isn't."))),
    script("unready", Phase("setup", "setup", "", (Step("assert", "fail", "s", "", "no"),)), a_test("d", Step("assert", "skip", "x", "r-3", "The setup did not pass."))),
    script("broken", error="It is no TestScript."),
))  # fmt: skip
REQUIREMENTS = [
    Requirement(id_, "SHALL", f"Statement {id_}", "http://p/x.html#y", why)
    for id_, why in (("r-1", ""), ("r-2", ""), ("r-3", ""), ("r-4", "No test yet"))
]


def test_counts():
    assert RUN.counts() == {"pass": 1, "warning": 1, "skip": 1, "fail": 1, "error": 1}
    assert [s.result for s in RUN.scripts] == ["pass", "fail", "warning", "fail", "error"]
    assert RUN.result == "error"
    assert Run("http://h", "", 0, ()).result == "skip"


def test_requirements_take_the_gravest_result_of_their_tests():
    found = {proof.requirement.id: (proof.result, proof.tests) for proof in proofs(RUN, REQUIREMENTS)}
    assert found == {
        "r-1": ("fail", ("good", "bad")), "r-2": ("fail", ("bad",)), "r-3": ("skip", ("unready",)), "r-4": ("", ()),
        "own": ("warning", ("warned",)),
    }  # fmt: skip


def test_json_is_read_back():
    assert read_run(write_run(RUN)) == RUN
    with pytest.raises(ValueError, match="Expected `str`"):
        read_run(b'{"base": 1}')


def test_all_forms_are_written(tmp_path):
    files = write_reports(RUN, REQUIREMENTS, list(REPORTS), tmp_path / "new" / "folder")
    assert {file.name for file in files} == {
        "report.html",
        "results.json",
        "junit.xml",
        "results.csv",
        "testreports.json",
        "summary.md",
        "badge.svg",
    }
    assert all(file.stat().st_size for file in files)


def test_junit():
    root = ET.fromstring(REPORTS["junit"][1](RUN, ()))
    assert root.attrib.items() >= {"tests": "6", "failures": "2", "errors": "1", "skipped": "1"}.items()
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases == {
        "a": [],
        "b": ["failure"],
        "c": ["system-out"],
        "setup": ["failure"],
        "d": ["skipped"],
        "script": ["error"],
    }


def test_csv():
    rows = list(csv.DictReader(io.StringIO(REPORTS["csv"][1](RUN, ()).decode())))
    assert len(rows) == sum(1 for s in RUN.scripts for _ in s.steps()) + 1
    failed = next(row for row in rows if row["result"] == "fail")
    assert (failed["script"], failed["test"], failed["label"]) == ("bad", "b", "r-1 r-2")
    assert failed["message"].startswith("'=1+1")
    assert rows[0].items() >= {"method": "GET", "url": "http://h/fhir/Patient/1", "status": "200"}.items()


def test_test_reports_are_valid(judge):
    reports = {s.name: as_test_report(s, RUN.base) for s in RUN.scripts}
    for report in reports.values():
        issues = judge[1].validate(decode(encode(report)))
        assert [issue for issue in issues if issue.severity == "error"] == []
    assert [reports[name]["result"] for name in ("good", "bad", "warned", "broken")] == [
        "pass",
        "fail",
        "pass",
        "fail",
    ]
    assert (reports["good"]["score"], reports["bad"]["score"]) == (100, 0)
    assert reports["broken"]["status"] == "stopped"
    assert [next(iter(a.values()))["result"] for a in reports["bad"]["test"][0]["action"]] == [
        "pass",
        "fail",
        "skip",
    ]
    bundle = json.loads(REPORTS["fhir"][1](RUN, ()))
    assert [entry["resource"]["name"] for entry in bundle["entry"]] == list(reports)


class Page(HTMLParser):
    """What a page holds: the nesting is checked, ids and links are kept."""

    VOID = frozenset({"meta", "br", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.scripts, self.text = [], [], [], 0, ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.scripts += tag == "script"
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []
        assert not {"src", "onclick"} & set(values)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page():
    page = Page(REPORTS["html"][1](RUN, REQUIREMENTS).decode())
    assert page.open == []
    assert page.scripts == 1
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link[0] == "#"} <= set(page.ids)
    assert [link for link in page.links if link[0] != "#"] == ["http://p/x.html#y"] * 4
    for said in (
        "Statement r-4",
        "No test yet",
        EVIL,
        "It is no TestScript.",
        "Title of good",
        "http://h/fhir/Patient/1",
    ):
        assert said in page.text


def test_the_page_runs_only_its_own_script():
    text = REPORTS["html"][1](RUN, ()).decode()
    assert "default-src 'none'" in text
    assert "<script>alert" not in text


@pytest.mark.parametrize(("scripts", "said"), [(RUN.scripts, "2 of 5"), (RUN.scripts[:1], "1 of 1")])
def test_badge(scripts, said):
    svg = ET.fromstring(REPORTS["badge"][1](Run("http://h", "", 0, scripts), ()))
    assert svg.get("aria-label") == f"FHIR R4 conformance: {said}"


def test_compare():
    good, bad, *_ = RUN.scripts
    mended = script("bad", a_test("b", WENT))
    spoiled = script("good", a_test("a", Step("assert", "fail", "it is", "", "Now it isn't.")))
    before, after = (
        Run("http://h", "", 0, scripts)
        for scripts in ((good, bad, RUN.scripts[2]), (spoiled, mended, RUN.scripts[4]))
    )
    found = [(d.kind, d.test, d.first, d.second, d.message) for d in compare(before, after)]
    assert found == [
        ("worse", "good: a", "pass", "fail", "Now it isn't."),
        ("gone", "warned: c", "warning", "", ""),
        ("new", "broken", "", "error", "It is no TestScript."),
        ("better", "bad: b", "fail", "pass", ""),
    ]
    assert compare(before, before) == []
