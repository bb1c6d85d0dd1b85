"""There is no path to data without an AccessContext: of the store's functions that ask the database, each takes one,
or is listed here with the reason why it needs none.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import fhir_server
from fhir_server.access.rules import RULES, Rule, rule
from fhir_server.definitions import Definitions
from fhir_server.interactions.exchange import FhirRequest, Operation
from fhir_server.store import Store
from fhir_server.store.documents import Change

ASKING = {"find", "query", "command", "find_page", "find_page_and_next"}
WITHOUT = {
    "audit_reading.py all": "reads the audit for verification and export, by the operator's command",
    "audit_reading.py checkpoints": "checkpoints hold no records",
    "audit_reading.py read": "its condition says whose events the caller may see",
    "audit_reading.py search": "its condition says whose events the caller may see",
    "audit_verifying.py unfinished": "counts for the operator's command",
    "auditing.py _insert": "writes events",
    "catalogue.py _index": "makes indexes",
    "code_systems.py all": "code systems are public",
    "code_systems.py write": "code systems are public",
    "code_systems.py concepts": "code systems are public",
    "code_systems.py select": "code systems are public",
    "code_systems.py _page": "code systems are public",
    "creating.py _inserted": "writes, after the guard",
    "creating.py written": "reads write tokens only",
    "contents.py read": "content is named by a token that stands in a body alone",
    "contents.py keep": "writes, after the guard",
    "contents.py holders": "which versions hold a content, for the sweep",
    "contents.py release": "removes content",
    "contents.py _sweep": "removes content",
    "explaining.py _complete": "explains a command that has the filter",
    "facts.py _find_spaces": "the state of spaces, to admit",
    "rekeying.py count_unkeyed": "counts, for the operator",
    "rekeying.py rekey": "makes access keys; no body leaves it",
    "facts.py _find": "finds out what a caller may see; no body leaves it but Consents and care teams, to admit",
    "history.py _rows": "its scope has the filter of each type",
    "jobs.py all": "jobs hold no resources",
    "moment.py _run": "runs over documents that were filtered",
    "moment.py _candidates": "its conditions have the filter",
    "names.py holder": "tells who holds a name, for the one who takes it",
    "names.py settle": "removes names that nobody holds any more",
    "purging.py count": "for the operator",
    "purging.py _ids": "for the operator",
    "purging.py _count_whole": "for the operator",
    "reading.py _answer": "judges every row for every waiter",
    "quotas.py use": "counts, no resources",
    "receipts.py note": "writes receipts",
    "reindexing.py replace_entries": "writes index entries",
    "relabelling.py relabel": "writes, after the guard",
    "searching.py first_key": "plans: tells which values an index has",
    "relabelling.py _together": "writes, after the guard",
    "spaces.py all": "control documents, for the opening job",
    "spaces.py announced": "control documents, for the opening job",
    "spaces.py in_state": "control documents, for the erasure job",
    "spaces.py replace": "writes control documents, after the guard",
    "transacting.py _write": "writes, after the guard",
    "searching.py values_in_use": "plans: the values go into a filter, which then is joined by the caller's",
    "transacting.py _previous": "copies what is replaced, after the guard",
    "transacting.py _send": "writes, after the guard",
}


def without_access() -> set[str]:
    found = set()
    for file in (Path(fhir_server.__file__).parent / "store").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                calls = {
                    call.func.attr
                    for call in ast.walk(node)
                    if isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and "connection" in ast.unparse(call.func.value)
                }
                names = {argument.arg for argument in node.args.args + node.args.kwonlyargs}
                if calls & ASKING and not names & {"access"}:
                    found.add(f"{file.name} {node.name}")
    return found


def test_who_asks_the_database_takes_an_access_context_or_has_a_reason():
    assert without_access() == set(WITHOUT)


@pytest.mark.parametrize(
    "name",
    [
        "read",
        "version",
        "search",
        "count",
        "values",
        "history",
        "count_history",
        "living",
        "referrers",
        "label_holders",
    ],
)
def test_every_call_that_returns_data_takes_an_access_context(name):
    assert inspect.signature(getattr(Store, name)).parameters["access"].default is inspect.Parameter.empty


@pytest.mark.parametrize(
    ("of", "name"), [(FhirRequest, "access"), (Change, "security"), (Operation, "access")]
)
def test_nothing_is_allowed_by_default(of, name):
    assert inspect.signature(of).parameters[name].default is inspect.Parameter.empty


def test_l65_a_type_without_a_rule_is_the_operators():
    assert rule("Unheard") is Rule.OPERATOR
    assert RULES.keys() <= set(Definitions().types.resource_types)
