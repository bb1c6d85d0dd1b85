"""A run of a client in the form that reports are written from: a script for each role and each rule.

The same reports as those of TestScripts: ``fhir_server.testscript.reports``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fhir_server import __version__
from fhir_server.certification.judge import Judge
from fhir_server.certification.ledger import Account
from fhir_server.certification.roles import Checklist
from fhir_server.certification.rules import Rule
from fhir_server.certification.traffic import Traffic, unpacked
from fhir_server.testscript.masking import Mask
from fhir_server.testscript.requirements import Requirement
from fhir_server.testscript.results import (
    ERROR,
    FAIL,
    PASS,
    WARNING,
    Exchange,
    Phase,
    Run,
    ScriptResult,
    Step,
)

#: Most characters of a body that a report shows.
_SHOWN = 20_000


def report(judge: Judge, rules: Mapping[str, Rule], client: str, started: str, seconds: float) -> Run:
    """Return the run: roles first, then the rules that are broken, then those that are kept."""
    showing = _Showing(Mask(lambda: tuple(judge.session.secrets)))
    found = [showing.rule(rules[name], account, started) for name, account in judge.ledger.accounts.items()]
    order = {ERROR: 0, FAIL: 1, WARNING: 2, PASS: 3}
    scripts = [
        *(showing.checklist(one, started) for one in judge.checklists),
        *sorted(found, key=lambda script: (order[script.result], list(rules).index(script.name))),
        *_unjudged(judge, started),
    ]
    return Run(
        f"{client}, a client of {judge.session.base}", started, seconds, tuple(scripts), __version__, "rules"
    )


def statements(rules: Mapping[str, Rule]) -> list[Requirement]:
    """Return the rules as the statements that a report lists."""
    none = "No request had to do with it."
    return [Requirement(rule.id, rule.level, rule.statement, rule.page, none) for rule in rules.values()]


def _unjudged(judge: Judge, started: str) -> Iterator[ScriptResult]:
    if numbers := judge.ledger.unjudged:
        said = f"Requests that could not be judged (the log says why): {', '.join(map(str, numbers))}."
        yield ScriptResult(
            "unjudged", "Requests that could not be judged", "", "", "", started, 0.0, (), said
        )


class _Showing:
    """Makes results of what was found, without secrets."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def rule(self, rule: Rule, account: Account, started: str) -> ScriptResult:
        result = FAIL if rule.level == "SHALL" else WARNING
        phases = [
            Phase(
                "test",
                self._mask.text(sentence),
                f"{breach.count} of the client's calls. To mend: {rule.mend}",
                tuple(
                    Step(
                        "operation", result, where, rule.id, self._mask.text(sentence), self.exchange(traffic)
                    )
                    for where, traffic in breach.shown
                ),
            )
            for sentence, breach in account.breaches.items()
        ]
        if account.example is not None:
            where, traffic = account.example
            step = Step("operation", PASS, f"first in {where}", rule.id, "", self.exchange(traffic))
            phases.append(Phase("test", f"{account.kept} of the client's calls keep it", "", (step,)))
        return ScriptResult(
            rule.id, f"{rule.level}: {rule.statement}", rule.page, "", rule.id, started, 0.0, tuple(phases)
        )

    def checklist(self, checklist: Checklist, started: str) -> ScriptResult:
        role = checklist.role
        phases = []
        for item in role.items:
            label = f"{role.name}-{item.id}"
            shown = checklist.shown.get(item.id)
            if shown is None:
                step = Step("assert", FAIL, f"Not shown: {item.says}", label, f"See {item.page}.")
            else:
                step = Step("operation", PASS, f"shown by {shown[0]}", label, "", self.exchange(shown[1]))
            phases.append(Phase("test", item.id, item.says, (step,)))
        return ScriptResult(
            f"role-{role.name}",
            f"What the role shows: {role.title}",
            "",
            "",
            role.name,
            started,
            0.0,
            tuple(phases),
        )

    def exchange(self, traffic: Traffic) -> Exchange:
        return Exchange(
            traffic.method,
            self._mask.text(traffic.target),
            self._mask.headers(traffic.headers),
            self._body(traffic.body, traffic.headers) if not traffic.is_cut else "(too long to be kept)",
            traffic.status,
            self._mask.headers(traffic.answer_headers),
            self._body(traffic.answer, traffic.answer_headers),
            traffic.seconds,
        )

    def _body(self, body: bytes, headers: Mapping[str, str]) -> str:
        try:
            text = unpacked(body, headers).decode()
        except (ValueError, UnicodeDecodeError):
            return f"({len(body)} bytes)"
        text = self._mask.text(text)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
