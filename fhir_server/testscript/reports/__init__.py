"""A run in the forms that people and programs read; a new form is a file and a row of ``REPORTS``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fhir_server.testscript.reports.badge import badge
from fhir_server.testscript.reports.junit import junit
from fhir_server.testscript.reports.page import page
from fhir_server.testscript.reports.summary import summary
from fhir_server.testscript.reports.table import table
from fhir_server.testscript.reports.test_report import bundle
from fhir_server.testscript.requirements import Requirement
from fhir_server.testscript.results import Run, write_run

#: File name and writer of each form.
REPORTS: dict[str, tuple[str, Callable[[Run, Sequence[Requirement]], bytes]]] = {
    "html": ("report.html", page),
    "json": ("results.json", lambda run, _: write_run(run)),
    "junit": ("junit.xml", lambda run, _: junit(run)),
    "csv": ("results.csv", lambda run, _: table(run)),
    "fhir": ("testreports.json", lambda run, _: bundle(run)),
    "summary": ("summary.md", summary),
    "badge": ("badge.svg", lambda run, _: badge(run)),
}


def write_reports(
    run: Run, requirements: Sequence[Requirement], forms: Sequence[str], folder: Path
) -> list[Path]:
    """Write a run in these forms into a folder, which is made if need be; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for form in forms:
        name, writer = REPORTS[form]
        files.append(folder / name)
        files[-1].write_bytes(writer(run, requirements))
    return files
