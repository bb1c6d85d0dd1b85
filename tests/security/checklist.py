"""Which rows of the hardening checklist are proved: the ids in the names of the tests, and what they leave out.

``python tests/security/checklist.py`` writes conformance/requirements/security.csv; a test fails when that is out of
date, so a row that was proved can't be lost unseen.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "conformance" / "requirements" / "security.csv"
ROWS = [f"L{n:02}" for n in range(1, 69)] + [f"C{n:02}" for n in range(1, 33)]

#: What the tests of a row leave out; the row is then proved in part.
LEFT_OUT = {
    "C20": "the alert when a control document is gone",
    "C18": "export, which is not offered",
    "L56": "prefixes, _tag and _type",
    "L43": "with integrity.references off, where both are stored",
    "L42": "with integrity.references off, where both are stored",
    "C21": "checked against R4 and a table of BALP's slices, not against BALP's own profiles",
    "C24": "the rights of the MongoDB role are documented, not tested",
    "C26": "without a token of a real issuer",
    "C32": "the 200 kills are not run",
    "L10": "versioned and urn references are covered, a resolving identifier is not",
    "L17": "an expired page link",
    "L22": "chain in _sort; _filter is not offered",
    "L27": "_since and paging",
    "L47": "the operations on a record; the others by their declarations",
    "L66": "1,280 reads in 40 rounds",
    "L31": "the count of matches",
    "L37": "FHIRPath Patch and the same in a transaction",
    "L40": "identifiers are never resolved for access: 422 for the own, a hidden and an unknown one alike",
    "L55": "scopes of several parameter values joined",
    "L61": "PUT of a new id with scope c alone is 403 by the letter",
    "L68": "the gauge",
    "C14": "the audit of the refusals",
    "C16": "PUT, PATCH and conditional create of RelatedPerson and Person",
}


def proving() -> dict[str, list[str]]:
    """Return the tests of each row, as ``file::name``."""
    found: dict[str, list[str]] = {}
    for file in sorted(Path(ROOT, "tests").rglob("test_*.py")):
        if file.parent.name not in ("security", "access"):
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for id_ in re.findall(r"(?<=_)([lLcC]\d\d)(?=_)", node.name):
                    found.setdefault(id_.upper(), []).append(
                        f"{file.relative_to(ROOT).as_posix()}::{node.name}"
                    )
    return found


def table() -> str:
    """Return the file's text: id, status, tests, what is left out."""
    known = proving()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "status", "tests", "left out"))
    for id_ in ROWS:
        named, missing = known.get(id_, []), LEFT_OUT.get(id_, "")
        status = "not yet" if not named else "in part" if missing else "proved"
        writer.writerow((id_, status, " ".join(named), missing if named else ""))
    return text.getvalue()


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
