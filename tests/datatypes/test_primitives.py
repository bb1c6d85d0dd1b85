from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_server.datatypes.primitives import MAX_STRING, PRIMITIVES, json_type

UUID = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"

# type -> (accepted values, refused values)
CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "boolean": ([True, False], [0, 1, "true", None, [], {}]),
    "string": (
        ["x", " x ", "foo\tbar\r\nbaz", "é", "\U0001f600", "a" * MAX_STRING],
        ["", " ", "\n\t", "\x00", "a\x08b", "a\x1cb", "a" * (MAX_STRING + 1), 1, None, True, ["x"], {"a": 1}],
    ),
    "markdown": (["# a\n\n* b"], ["", "\n", 1]),
    "code": (["a", "a b", "12/x"], ["", " a", "a ", "a  b", "a\tb", "a\nb", "\x01", 1, None]),
    "id": (["a", "A-1.b", "x" * 64], ["", "x" * 65, "a_b", "a b", "é", "a\n", 1]),
    "uri": (
        ["http://a/b", "Patient/1", "urn:a:b", UUID, UUID.upper().replace("URN:UUID", "urn:uuid"), "urn:oid:1.2.3", "a#b"],
        ["", " ", "http://a b", "http://a\n", "urn:uuid:1", "urn:oid:a", "urn:oid:1.02", 1, None],
    ),
    "url": (["https://a", "mailto:a@b"], ["", " ", True]),
    "canonical": (["http://a/b|1.0", "#x", "http://a|1#y", "urn:oid:X"], ["", "http://a |1", 1.0]),
    "oid": (["urn:oid:1.2.3", "urn:oid:0.0"], ["1.2.3", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.", "urn:oid:1.01", 1]),
    "uuid": ([UUID], [UUID.upper(), UUID[:-1], UUID[9:], "urn:uuid:", 17]),
    "date": (
        ["2023", "2023-02", "2023-02-28", "2024-02-29", "2000-02-29", "0001", "9999-12-31"],
        [
            "2023-02-29", "1900-02-29", "2023-02-31", "2023-04-31", "2023-00", "2023-13", "2023-1", "23", "0000",
            "2023-01-00", "2023-01-32", "2023-01-01T00:00:00Z", "2023-01-01 ", "\uff12\uff10\uff12\uff13", "", 2023, True,
        ],
    ),
    "dateTime": (
        [
            "2023", "2023-02", "2023-02-28", "2023-02-28T23:59:59Z", "2023-02-28T23:59:60Z", "2023-02-28T00:00:00.123456789+14:00",
            "2023-02-28T00:00:00-13:59",
        ],
        [
            "2023-02-30T00:00:00Z", "2023-02-28T24:00:00Z", "2023-02-28T00:00Z", "2023-02-28T00:00:00", "2023-02-28T00:00:00+14:01",
            "2023-02-28T00:00:00+15:00", "2023-02-28T00:00:00.Z", "2023-02-28t00:00:00z", "2023-02T00:00:00Z",
            "2023-02-28T00:60:00Z", "2023-02-28T00:00:61Z", "2023-02-28T00:00:00+0100", "2023-02-28T00:00:00Z\n", 1,
        ],
    ),
    "instant": (
        ["2023-02-28T00:00:00Z", "2023-02-28T00:00:00.1+01:00"],
        ["2023", "2023-02-28", "2023-02-28T00:00:00", "2023-06-31T00:00:00Z", True],
    ),
    "time": (["00:00:00", "23:59:59.9", "23:59:60"], ["24:00:00", "12:05", "1:00:00", "12:00:00Z", 1.0]),
    "decimal": (
        [0, -1, 10**400, Decimal("1.50"), Decimal("1E-245"), Decimal("-0")],
        ["1", 10**500, Decimal("NaN"), Decimal("Infinity"), True, None],
    ),
    "integer": ([0, -1, 2**31 - 1, -(2**31)], [2**31, -(2**31) - 1, Decimal("1.0"), "1", True, Decimal("-0")]),
    "unsignedInt": ([0, 1, 2**31 - 1], [-1, 2**31, "200", True]),
    "positiveInt": ([1, 2**31 - 1], [0, -1, 2**31, "1", Decimal("1.0")]),
    "base64Binary": (["YQ==", "YWI=", "YWJj", "YW\r\nJj", " YWJj "], ["", " ", "YQ", "YQ=", "Y===", "a&b=", "é===", "YQ==YQ==", 1]),
}  # fmt: skip


def test_every_primitive_type_has_cases() -> None:
    assert set(CASES) == set(PRIMITIVES)


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, (good, _) in CASES.items() for v in good], ids=lambda v: repr(v)[:40]
)
def test_accepted(name: str, value: Any) -> None:
    assert PRIMITIVES[name].accepts(value)


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, (_, bad) in CASES.items() for v in bad], ids=lambda v: repr(v)[:40]
)
def test_refused_with_a_sentence_that_does_not_repeat_the_value(name: str, value: Any) -> None:
    assert not PRIMITIVES[name].accepts(value)
    code, text = PRIMITIVES[name].problem(value)
    expected = PRIMITIVES[name].json.rpartition(" ")[2]
    assert code == ("value" if json_type(value) == expected else "structure")
    assert text.endswith(".")
    if isinstance(value, str) and name not in {"oid", "uuid"} and len(value) > 4:
        assert value not in text


SUITE = (
    Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
    / "primitives"
    / "primitives.ndjson"
)
LOCATIONS = {
    "base64Binary": '{"resourceType":"Binary","contentType":"text/plain","data":%s}',
    "boolean": '{"resourceType":"Patient","active":%s}',
    "canonical": '{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"http://x","valueCanonical":%s}]}',
    "date": '{"resourceType":"Patient","birthDate":%s}',
    "instant": '{"resourceType":"Patient","meta":{"lastUpdated":%s}}',
    "reference": '{"resourceType":"Basic","code":{"text":"x"},"subject":%s,"contained":[{"resourceType":"Patient","id":"p1"}]}',
    "xhtml": '{"resourceType":"Patient","text":{"status":"generated","div":%s}}',
}
EXTENSION = '{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"http://x","value%s":%s}]}'


def document(type_name: str, text: str) -> str:
    if type_name in LOCATIONS:
        contained = "#p1" in text or type_name != "reference"
        location = LOCATIONS[type_name]
        return (
            location
            if contained
            else location.replace(',"contained":[{"resourceType":"Patient","id":"p1"}]', "")
        ) % text
    return EXTENSION % (type_name[0].upper() + type_name[1:], text)


@pytest.mark.skipif(not SUITE.exists(), reason="the public suites aren't there: set FHIR_SUITES")
def test_verdicts_of_the_public_suite() -> None:
    from fhir_server.datatypes.json_format import decode
    from fhir_server.definitions import Definitions
    from fhir_server.outcome import FhirError
    from fhir_server.terminology import CodeSets
    from fhir_server.validation import Validator

    definitions = Definitions()
    validator = Validator(definitions, CodeSets(definitions))
    wrong = []
    rows = [json.loads(line) for line in SUITE.read_text().splitlines()]
    for row in rows:
        try:
            issues = validator.validate(decode(document(row["type"], row["value"]).encode()))
            is_valid = all(issue.severity != "error" for issue in issues)
        except FhirError:
            is_valid = False
        if row["scored"] and is_valid != row["valid"]:
            wrong.append(row["id"])
    assert not wrong
    assert sum(row["scored"] for row in rows) >= 60
