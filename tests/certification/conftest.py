"""A judge without proxy: exchanges go in as data."""

from __future__ import annotations

import json

import pytest

from fhir_server.certification.certifying import read_identifiers
from fhir_server.certification.judge import Judge
from fhir_server.certification.roles import read_roles
from fhir_server.certification.session import Session
from fhir_server.certification.traffic import Reader, Traffic
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.definitions.content import content_folder
from fhir_server.search import Registry
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

FOLDER = content_folder("conformance") / "clients"


@pytest.fixture(scope="session")
def engines():
    definitions = Definitions()
    return definitions, Validator(definitions, CodeSets(definitions)), Registry(definitions)


@pytest.fixture
def judge(engines):
    """Return ``judge(*roles)``, a judge that has seen nothing."""
    definitions, validator, registry = engines

    def make(*roles):
        types = definitions.types
        session = Session(
            "http://server.example/fhir", Reader("/fhir", types.resource_types, XmlFormat(types)), definitions,
            validator, registry, read_identifiers(FOLDER), {"Patient": frozenset({"vendor-param"})},
        )  # fmt: skip
        known = read_roles(FOLDER)
        return Judge(session, [known[name] for name in roles], None)

    return make


@pytest.fixture(scope="session")
def traffic():
    """Return ``traffic(row, number)``, the exchange that a row of the cases describes."""

    def make(row, number):
        method, target = row["request"].split(" ", 1)
        body, answer = row.get("body", ""), row.get("answer", "")
        sent = body if isinstance(body, str) else json.dumps(body)
        got = answer if isinstance(answer, str) else json.dumps(answer)
        headers = {"accept": "application/fhir+json", **row.get("headers", {})}
        if body and "content-type" not in headers:
            headers["content-type"] = "application/fhir+json"
        return Traffic(
            number, row.get("at", float(number)), 1_700_000_000.0, method, target,
            {name: value for name, value in headers.items() if value is not None},
            sent.encode(), False, row.get("status", 200), row.get("answer_headers", {"content-type": "application/fhir+json"}),
            got.encode(), 0.001,
        )  # fmt: skip

    return make
