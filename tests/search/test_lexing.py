from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search.lexing import decode_pairs, split, unescape


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("a=1&a=2&&", [("a", "1"), ("a", "2")]),
        ("a", [("a", "")]),
        ("name=M%C3%BCller+B", [("name", "Müller B")]),
        ("a%3Amissing=true", [("a:missing", "true")]),
        ("a=b%26c%3Dd", [("a", "b&c=d")]),
        ("a=%2B1", [("a", "+1")]),
        ("a=%", [("a", "%")]),
    ],
)
def test_pairs(query, pairs):
    assert decode_pairs(query) == pairs


@pytest.mark.parametrize(
    ("query", "status"), [("a=%FF", 400), ("a=%00", 400), ("a=1&" * 51, 400), ("a=" + "x" * 9000, 414)]
)
def test_refused(query, status):
    with pytest.raises(FhirError) as caught:
        decode_pairs(query)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b", ["a", "b"]),
        ("a\\,b,c", ["a\\,b", "c"]),
        ("a\\\\,b", ["a\\\\", "b"]),
        (",", ["", ""]),
        ("a\\", ["a\\"]),
    ],
)
def test_split(text, parts):
    assert split(text, ",") == parts


@pytest.mark.parametrize(
    ("text", "plain"), [("a", "a"), ("a\\,b\\|c\\$d\\\\e", "a,b|c$d\\e"), ("\\\\\\\\", "\\\\")]
)
def test_unescape(text, plain):
    assert unescape(text, "p") == plain


@pytest.mark.parametrize("text", ["a\\b", "\\", "a\\\\\\", "\\\n"])
def test_a_lone_backslash_is_refused(text):
    with pytest.raises(FhirError, match="a backslash must be followed by"):
        unescape(text, "p")
