"""CSV: one row for each step."""

from __future__ import annotations

import csv
import io

from fhir_server.testscript.results import ERROR, Run

COLUMNS = (
    "script", "phase", "test", "step", "kind", "title", "label", "result", "message", "method", "url", "status",
    "seconds",
)  # fmt: skip


def table(run: Run) -> bytes:
    """Return a run as CSV in UTF-8 (RFC 4180); texts that a spreadsheet would take for a formula are quoted."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for script in run.scripts:
        if script.error:
            writer.writerow([script.name, *[""] * 6, ERROR, _plain(script.error), *[""] * 4])
        for phase in script.phases:
            for number, step in enumerate(phase.steps, 1):
                sent = step.exchange
                http = (
                    ("", "", "", "") if sent is None else (sent.method, sent.url, sent.status, sent.seconds)
                )
                row = (
                    script.name, phase.kind, phase.name, number, step.kind, step.title, step.label, step.result,
                    step.message, *http,
                )  # fmt: skip
                writer.writerow([_plain(value) for value in row])
    return out.getvalue().encode()


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"} else value
