"""What running scripts gives: a run holds scripts, a script phases, a phase steps, an operation its HTTP exchange.

The results of a step are the codes of TestReport (https://hl7.org/fhir/R4/valueset-report-action-result-codes.html).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import msgspec

PASS, SKIP, FAIL, WARNING, ERROR = "pass", "skip", "fail", "warning", "error"
#: The results, the gravest first. A skipped step never counts as passed.
GRAVITY = (ERROR, FAIL, SKIP, WARNING, PASS)


def gravest(results: Iterable[str], *, empty: str = PASS) -> str:
    """Return the gravest of some results, ``empty`` when there are none."""
    return min(results, key=GRAVITY.index, default=empty)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer as text, without secrets; ``status`` is 0 when no answer came."""

    method: str
    url: str
    request_headers: dict[str, str]
    request_body: str
    status: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """An operation or assertion; ``label`` is that of the script, ``message`` says why it isn't passed."""

    kind: str
    result: str
    title: str
    label: str = ""
    message: str = ""
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """The fixtures, the setup, one test, or the teardown."""

    kind: str
    name: str
    description: str
    steps: tuple[Step, ...]

    @property
    def result(self) -> str:
        """The gravest result of its steps."""
        return gravest(step.result for step in self.steps)


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """The outcome of one script.

    ``digest`` is that of its content, ``error`` why it could not be run at all, ``lacks`` what the script asks for and
    the server doesn't claim to have: then it was left out.
    """

    name: str
    title: str
    url: str
    source: str
    digest: str
    started: str
    seconds: float
    phases: tuple[Phase, ...] = ()
    error: str = ""
    lacks: str = ""

    @property
    def result(self) -> str:
        """The gravest result of its setup and tests; what a teardown can't clear away counts as a warning."""
        if self.error:
            return ERROR
        found = [p.result for p in self.phases if p.kind != "teardown"]
        left = [p.result for p in self.phases if p.kind == "teardown" and p.result in {FAIL, ERROR}]
        return gravest([*found, *[WARNING for _ in left]])

    def tests(self) -> tuple[Phase, ...]:
        """Return the phases that are tests."""
        return tuple(phase for phase in self.phases if phase.kind == "test")

    def steps(self) -> Iterator[tuple[Phase, Step]]:
        """Yield each step with its phase."""
        return ((phase, step) for phase in self.phases for step in phase.steps)


@dataclass(frozen=True, slots=True)
class Run:
    """All scripts of a run against ``base``, when it began (ISO 8601) and how many seconds it took.

    ``parts`` is what reports call its scripts.
    """

    base: str
    started: str
    seconds: float
    scripts: tuple[ScriptResult, ...]
    version: str = ""
    parts: str = "scripts"

    @property
    def result(self) -> str:
        """The gravest result of its scripts but those left out; an empty run proves nothing."""
        return gravest((script.result for script in self.scripts if not script.lacks), empty=SKIP)

    def counts(self) -> dict[str, int]:
        """Return how many tests had which result; a script that could not be run counts as one error."""
        found = Counter(t.result for s in self.scripts if not s.error for t in s.tests())
        found[ERROR] += sum(1 for script in self.scripts if script.error)
        return {name: found[name] for name in (PASS, WARNING, SKIP, FAIL, ERROR)}


def completed(run: Run, more: Run) -> Run:
    """Return a run in which the scripts that were left out have the results that another run has of them."""
    known = {script.digest: script for script in more.scripts}
    scripts = tuple(known.get(it.digest, it) if it.lacks else it for it in run.scripts)
    return replace(run, scripts=scripts, seconds=round(run.seconds + more.seconds, 3))


def read_run(data: bytes) -> Run:
    """Return the run that ``write_run`` wrote; raises ValueError for anything else."""
    return msgspec.json.decode(data, type=Run)


def write_run(run: Run) -> bytes:
    """Return a run as JSON."""
    return msgspec.json.format(msgspec.json.encode(run), indent=1)
