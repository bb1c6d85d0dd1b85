"""The two evaluators of a policy agree on a real database. Checklist C30."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.access.policy import Clause
from tests.access.clauses import CLAUSES, DOCUMENTS


@pytest.fixture(scope="module")
def documents(mongo_client, module_database_name):
    return mongo_client[module_database_name]["documents"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(DOCUMENTS, min_size=1, max_size=6), clause=CLAUSES)
def test_C30_the_filter_and_the_judgement_agree(documents, rows: list[dict[str, Any]], clause: Clause):
    documents.delete_many({})
    documents.insert_many([{**row, "_id": number} for number, row in enumerate(rows)])
    query = clause.as_filter()
    found = [] if query is None else [row["_id"] for row in documents.find(query).sort("_id", 1)]
    assert found == [number for number, row in enumerate(rows) if clause.admits(row)]
