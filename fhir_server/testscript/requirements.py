"""The statements of the specification that suites prove: ``conformance/requirements/*.csv``.

A row has an id, SHALL or SHOULD, the statement, its page, and in ``unproven`` why no test proves it, if so.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fhir_server.testscript.results import Run, gravest


@dataclass(frozen=True, slots=True)
class Requirement:
    """One statement of the specification."""

    id: str
    level: str
    statement: str
    page: str
    unproven: str
    #: The list that it stands in: http, search, validation, ...
    list: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """A requirement (or a label that is none of ours), the gravest result of its assertions, and its tests."""

    requirement: Requirement
    result: str
    tests: tuple[str, ...]


def read_requirements(folder: Path) -> list[Requirement]:
    """Return the requirements in ``requirements`` below the folder of the conformance content.

    Lists with other columns, which name tests of the project, are passed over.
    """
    columns = ["id", "level", "statement", "page", "unproven"]
    found = []
    for file in sorted((folder / "requirements").glob("*.csv")):
        with file.open(newline="") as text:
            rows = csv.DictReader(text)
            if rows.fieldnames == columns:
                found += [Requirement(**row, list=file.stem) for row in rows]
    return found


def proofs(run: Run, requirements: Iterable[Requirement]) -> list[Proof]:
    """Return what a run says of each requirement, and of each label that its scripts use besides."""
    results: dict[str, list[str]] = {}
    tests: dict[str, dict[str, None]] = {}
    for script in run.scripts:
        for phase, step in script.steps():
            for label in step.label.split() if phase.kind == "test" else ():
                results.setdefault(label, []).append(phase.result)
                tests.setdefault(label, {})[script.name] = None
    known = {requirement.id: requirement for requirement in requirements}
    others = {id_: Requirement(id_, "", "", "", "") for id_ in sorted(results) if id_ not in known}
    return [
        Proof(r, gravest(results.get(r.id, []), empty=""), tuple(tests.get(r.id, ())))
        for r in (*known.values(), *others.values())
    ]
