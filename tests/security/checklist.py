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
_COUNTS = {"L": 68, "C": 32, "T": 40, "H": 46, "D": 25, "O": 10}
ROWS = [f"{letter}{n:02}" for letter, count in _COUNTS.items() for n in range(1, count + 1)]

#: So many rows have tests, and so many are proved whole: fewer fail the build. Raise them with what is added.
FLOOR, FLOOR_PROVED = 162, 114

#: Tests of rows that stand beside what they test, under names of their own.
ELSEWHERE: dict[str, list[str]] = {
    "H01": ["tests/rest/test_bad_input.py::test_a_broken_body_is_a_400_with_an_outcome"],
    "H02": ["tests/rest/test_bad_input.py::test_a_broken_body_is_a_400_with_an_outcome"],
    "H04": ["tests/rest/test_bad_input.py::test_a_broken_body_is_a_400_with_an_outcome"],
    "H06": [
        "tests/rest/test_bad_input.py::test_a_broken_body_is_a_400_with_an_outcome",
        "tests/datatypes/test_xml_format.py::test_depth",
    ],
    "H08": ["tests/rest/test_bad_input.py::test_a_broken_body_is_a_400_with_an_outcome"],
    "H09": ["tests/rest/test_bad_input.py::test_a_broken_body_is_a_400_with_an_outcome"],
    "H10": ["tests/rest/test_bad_input.py::test_a_broken_body_is_a_400_with_an_outcome"],
    "H05": [
        "tests/datatypes/test_json_format.py::test_a_number_keeps_its_text",
        "tests/datatypes/test_xml_format.py::test_the_text_of_decimals_survives",
    ],
    "H07": ["tests/rest/test_bad_input.py::test_a_byte_order_mark_is_no_defect"],
    "H11": [
        "tests/rest/test_bad_input.py::test_a_body_over_the_limit_is_413",
        "tests/rest/test_bad_input.py::test_a_body_over_the_limit_without_length_is_413",
        "tests/rest/test_upload.py::test_what_becomes_too_large_on_the_way_is_refused",
    ],
    "H12": [
        "tests/rest/test_upload.py::test_what_is_not_in_its_encoding_is_refused",
        "tests/rest/test_upload.py::test_other_encodings_are_not_supported",
    ],
    "H14": [
        "tests/rest/test_bad_input.py::test_content_types",
        "tests/rest/test_bad_input.py::test_format_outranks_accept",
    ],
    "H19": ["tests/search/test_hostile_queries.py::test_query_strings"],
    "H20": ["tests/search/test_hostile_queries.py::test_values"],
    "H24": ["tests/search/test_hostile_queries.py::test_query_strings"],
    "H21": ["tests/fhirpath/test_costs.py::test_expressions_that_may_explode_keep_to_their_budget"],
    "H22": ["tests/interactions/patching/test_json_patch.py::test_growth_is_stopped_before_it_happens"],
    "H41": ["tests/interactions/test_transaction_refusals.py::test_duplicate_full_urls_are_named"],
    "D02": ["tests/store/test_outage.py::test_acknowledged_writes_survive_kills"],
    "D04": ["tests/interactions/test_update.py::test_concurrent_updates_with_if_match_let_one_win"],
    "D05": ["tests/interactions/test_conditional_create.py::test_1000_concurrent_attempts_make_one_resource"],
    "D09": ["tests/store/test_outage.py::test_a_database_that_stays_away_is_unavailable_in_time"],
    "D19": [
        "tests/interactions/test_paging_under_writes.py::test_a_scan_among_ten_writers_shows_each_match_once"
    ],
    "D20": ["tests/interactions/test_model.py::test_server_and_model_agree"],
}

#: What the tests of a row leave out; the row is then proved in part.
LEFT_OUT = {
    "C20": "the alert when a control document is gone",
    "C18": "export, which is not offered",
    "L56": "prefixes, _tag and _type",
    "L43": "with integrity.references off, where both are stored",
    "L42": "with integrity.references off, where both are stored",
    "H01": "keys written with escapes",
    "H02": "1e999 and its like over HTTP",
    "H04": "decimals of 100,000 digits",
    "H05": "search index, patch and export",
    "H06": "Bundle in Bundle, Parameters.part",
    "H07": "a body in UTF-16",
    "H11": "a lying Content-Length, and memory",
    "H12": "a bomb of 200 MB, gzip in gzip",
    "H14": "charset=utf-16, a JSON header with XML",
    "H19": "patch paths and keys of resources",
    "H20": "time",
    "H21": "over HTTP",
    "H24": "an address of 1 MB is in H46",
    "H34": "at /auth",
    "H41": "10,001 entries, circular and own references",
    "H46": "memory",
    "H33": "bodies that run on until the connection ends",
    "H13": "1,000 idle connections: 200",
    "D02": "under load of several clients",
    "D09": "/ready and /live meanwhile",
    "D04": "100 writers",
    "O10": "the RateLimit headers of answers below the rate",
    "T12": "at the issuer within 60 s by the clock",
    "T27": "logout: there are no sessions",
    "O07": "pages of test reports",
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
    found = {row: list(tests) for row, tests in ELSEWHERE.items()}
    for file in sorted(Path(ROOT, "tests").rglob("test_*.py")):
        if file.parent.name not in ("security", "access"):
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for id_ in re.findall(r"(?<=_)([lLcCtThHdDoO]\d\d)(?=_)", node.name):
                    found.setdefault(id_.upper(), []).append(
                        f"{file.relative_to(ROOT).as_posix()}::{node.name}"
                    )
    return found


def missing() -> list[str]:
    """Return the tests of ``ELSEWHERE`` that don't exist."""
    found = []
    for name in (name for tests in ELSEWHERE.values() for name in tests):
        file, _, function = name.partition("::")
        if not re.search(
            rf"^(async )?def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
        ):
            found.append(name)
    return found


def counts() -> tuple[int, int]:
    """Return how many rows have tests, and how many of them are proved whole."""
    statuses = [row["status"] for row in csv.DictReader(io.StringIO(table()))]
    return sum(status != "not yet" for status in statuses), statuses.count("proved")


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
