"""Two runs side by side: two servers, or one server at two times."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.testscript.results import ERROR, GRAVITY, Run


@dataclass(frozen=True, slots=True)
class Difference:
    """A test and its result in each run ("" where the run doesn't have it), and what the second one says of it."""

    test: str
    first: str
    second: str
    message: str

    @property
    def kind(self) -> str:
        """``worse``, ``better``, ``new`` or ``gone``."""
        if not self.first or not self.second:
            return "new" if self.second else "gone"
        return "worse" if GRAVITY.index(self.second) < GRAVITY.index(self.first) else "better"


def compare(first: Run, second: Run) -> list[Difference]:
    """Return the tests whose results differ, those that are worse in the second run first."""
    before, after = _results(first), _results(second)
    found = [
        Difference(test, before.get(test, ("", ""))[0], *after.get(test, ("", "")))
        for test in dict.fromkeys([*before, *after])
        if before.get(test, ("", ""))[0] != after.get(test, ("", ""))[0]
    ]
    order = ("worse", "gone", "new", "better")
    return sorted(found, key=lambda difference: (order.index(difference.kind), difference.test))


def _results(run: Run) -> dict[str, tuple[str, str]]:
    """Return result and first message of each test by script and name."""
    found: dict[str, tuple[str, str]] = {}
    for script in run.scripts:
        if script.error:
            found[script.name] = (ERROR, script.error)
        for test in script.tests():
            said = next((step.message for step in test.steps if step.message), "")
            found[f"{script.name}: {test.name}"] = (test.result, said)
    return found
