from __future__ import annotations

import copy
import json
import pickle
import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.datatypes.json_format import MAX_DEPTH, decode, encode
from fhir_server.outcome import FhirError


def nested(levels: int, opening: bytes = b'{"a":', closing: bytes = b"}") -> bytes:
    return opening * levels + b"1" + closing * levels


# body -> part of the diagnostics
REFUSED = {
    "empty": (b"", "empty"),
    "white space": (b" \n", "empty"),
    "array": (b"[]", "JSON object"),
    "number": (b"1", "JSON object"),
    "null": (b"null", "JSON object"),
    "cut off": (b'{"a":', "cut off (line 1, column 6)"),
    "cut off in a string": (b'{"a":"x', "cut off"),
    "rest": (b'{"a":1}x', "trailing characters (line 1, column 9)"),
    "second line": (b'{\n "a":+1}', "invalid character (line 2, column 6)"),
    "column counts characters": ('{"é":01}'.encode(), "column 7"),
    "trailing comma": (b'{"a":1,}', "trailing comma"),
    "single quotes": (b"{'a':1}", "keys must be strings"),
    "comment": (b'{/*x*/"a":1}', "line 1"),
    "leading zero": (b'{"a":01}', "invalid number"),
    "NaN": (b'{"a":NaN}', "NaN and Infinity"),
    "Infinity": (b'{"a":Infinity}', "NaN and Infinity"),
    "-Infinity": (b'{"a":-Infinity}', "NaN and Infinity"),
    "lone high surrogate": (
        b'{"a":"\\ud800"}',
        "surrogate pair (line 1, column 7)".replace("pair", "pair: send both or none"),
    ),
    "lone high surrogate, more": (b'{"a":"\\uD800x"}', "surrogate pair"),
    "lone low surrogate": (b'{"a":"\\udc00"}', "surrogate pair"),
    "bad UTF-8": (b'{"a":"\xff"}', "UTF-8 (line 1, column 7)"),
    "surrogate in UTF-8": (b'{"a":"\xed\xa0\x80"}', "UTF-8"),
    "overlong UTF-8": (b'{"a":"\xc0\x80"}', "UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "UTF-8"),
    "NUL": (b'{"a":"\x00"}', "invalid character"),
    "escaped NUL": (b'{"a":"\\u0000"}', "control characters"),
    "escaped NUL in a name": (b'{"a\\u0000":1}', "control characters"),
    "escaped control": (b'{"a":"\\\\\\u001F"}', "control characters"),
    "backspace": (b'{"a":"\\b"}', "control characters"),
    "form feed": (b'{"a":"\\f"}', "control characters"),
    "raw tab": (b'{"a":"\t"}', "invalid character"),
    "repeated": (b'{"a":1,"a":2}', 'the property "a" more than once'),
    "repeated, spaced": (b'{"a" : 1, "a" :2}', 'the property "a" more than once'),
    "repeated, mixed": (b'{"x": "y", "a" :1, "a":2}', 'the property "a" more than once'),
    "repeated, escaped": (b'{"a":1,"\\u0061":2}', 'the property "a" more than once'),
    "repeated deep": (b'{"a":[{"b":{"c":1,"d":2,"c":1}}]}', 'the property "c" more than once'),
    "repeated, a quote makes up for it": (b'{"a":"\\u0022:","b":1,"b":1}', 'the property "b" more than once'),
    "repeated, a colon makes up for it": (
        b'{"a":"\\"\\u003a","b":1,"b":1}',
        'the property "b" more than once',
    ),
    "repeated name is no word": (b'{"Jane Doe":1,"Jane Doe":2}', "An object has a property more than once"),
    "too deep": (nested(MAX_DEPTH + 1), "64 levels"),
    "depth 500": (nested(500), "64 levels"),
    "depth 990, arrays": (b'{"a":' + nested(990, b"[", b"]") + b"}", "64 levels"),
    "depth 100 000": (nested(100_000), "64 levels"),
    "depth 100 000, cut off": (b'{"a":' + b"[" * 100_000, "64 levels"),
    "long integer": (b'{"a":' + b"1" * 5_000 + b"}", "A number"),
    "long decimal": (b'{"a":0.' + b"1" * 5_000 + b"}", "A number"),
    "huge exponent": (b'{"a":1e1000}', "A number"),
    "absurd exponent": (b'{"a":1e99999999999999999999}', "A number"),
    "tiny exponent": (b'{"a":1e-99999999}', "A number"),
}


@pytest.mark.parametrize(("body", "part"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_a_clear_400(body: bytes, part: str) -> None:
    with pytest.raises(FhirError) as caught:
        decode(body)
    assert caught.value.status == 400
    [issue] = caught.value.issues
    assert issue.severity == "error"
    assert issue.code in {"structure", "value"}
    assert part in issue.diagnostics
    assert issue.diagnostics.endswith(".")


NUMBERS = [
    "0", "1", "-1", "-0", "-0.0", "0.0", "72.50", "1.00", "1e2", "1E2", "1e+2", "1E+2", "1.0e-24", "0.00000001",
    "-0.00000001", "0.0000000", "0.000000", "0.0000001", "0.000001", "1.000000000000000000E-245",
    "-1.000000000000000000E+245", "123456789012345678901234567890", "0.1234567890123456789012345678901234567890",
]  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_keeps_its_text(text: str) -> None:
    for form in ('{"a":[%s,"x"]}', '{ "a" : [ %s, "x" ] }', '{"a":[%s,\n"x"]}'):
        value = decode((form % text).encode())
        assert encode(value) == b'{"a":[%s,"x"]}' % text.encode()
        assert value["a"][0] == Decimal(text)


@pytest.mark.parametrize("text", ["1e2", "0.00000001", "-0"])
def test_a_copied_number_keeps_its_text(text: str) -> None:
    value = decode(b'{"a":%s}' % text.encode())
    assert (
        encode(copy.deepcopy(value)) == encode(copy.copy(value)) == encode(pickle.loads(pickle.dumps(value)))
    )
    assert encode(copy.deepcopy(value)) == b'{"a":%s}' % text.encode()


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"a":1}',
        nested(MAX_DEPTH),
        b'{"a":' + nested(MAX_DEPTH - 1, b"[", b"]") + b"}",
        b'{"b":"]]]}}","a":' + nested(MAX_DEPTH - 1, b"[", b"]") + b"}",
        b'{"a":"\\u0009\\u000A\\u000d\\n\\r\\t"}',
        b'{"a":"\\\\u0000 \\\\b \\\\\\\\f"}',
        b'{"a":"\\ud83d\\ude00 \\uD83D\\uDE00 \\u00e9 \\/ \\u007f"}',
        b'{"a":"x\\":y","b" : "\\u0022:"}',
        b'{"a":"foo :bar", "b": ["-0", "x-0 ,"]}',
        '{"é":"\u2028 \U0001f600 \x7f"}'.encode(),
    ],
    ids=str,
)
def test_accepted_and_equal_to_the_reference_parser(body: bytes) -> None:
    assert decode(body) == json.loads(body.decode("utf-8-sig"))
    assert decode(encode(decode(body))) == decode(body)


@pytest.mark.parametrize(
    "content", [b"[{", b'\\"', b"\\\\", b"\\n", b'\\":', b"\\ud83d\\ude00", b" :"], ids=str
)
def test_ten_megabytes_in_one_string_take_bounded_time(content: bytes) -> None:
    body = b'{"a": "' + content * (10_000_000 // len(content)) + b'"}'
    start = time.process_time()
    decode(body)
    assert time.process_time() - start < 50  # a hang, not a speed


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda child: (
        st.lists(child, max_size=4) | st.dictionaries(st.text('ab:" é\\', max_size=3), child, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text('ab:" ', max_size=3), JSON, max_size=4),
    st.booleans(),
    st.sampled_from([None, 1, "\t"]),
)
def test_what_json_writes_decode_reads(
    value: dict[str, object], ascii_only: bool, indent: int | str | None
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert decode(body) == value
    assert json.loads(encode(decode(body))) == value


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text('ab:" ', max_size=2), JSON, min_size=1, max_size=3),
    st.sampled_from([":", ": ", " :", "\n: "]),
)
def test_a_repeated_name_is_always_found(value: dict[str, object], colon: str) -> None:
    members = [json.dumps(name) + colon + json.dumps(member) for name, member in value.items()]
    with pytest.raises(FhirError, match="more than once"):
        decode(("{" + ",".join([*members, members[0]]) + "}").encode())
