"""What stands for large content, and where bodies hold some."""

from __future__ import annotations

import base64
import re

import pytest

from fhir_server.store.content import Content, base64_size, large_texts, new_token, pieces

LONG = base64.b64encode(bytes(range(200))).decode()


def found(body: str, smallest: int = 100) -> list[str]:
    return [body[begin:end] for begin, end in large_texts(body.encode(), smallest)]


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (f'{{"data":"{LONG}"}}', [LONG]),
        (f'{{"a":[{{"data":"{LONG}"}},{{"data":"short"}},{{"data":"{LONG}"}}]}}', [LONG, LONG]),
        (f'{{"data":"{LONG[:50]}\\n{LONG[50:]}"}}', []),
        (f'{{"data":"{LONG[:50]} {LONG[50:]}"}}', []),
        (f'{{"title":"\\"data\\":\\"{LONG}\\""}}', []),
        (f'{{"url":"{LONG}","data":["{LONG}"]}}', []),
        (f'{{"data":"{"1 2.5 E " * 50}"}}', []),
        ('{"data":"', []),
    ],
    ids=[
        "one",
        "several",
        "line break",
        "blank",
        "inside a string",
        "other properties",
        "sampled data",
        "cut off",
    ],
)
def test_where_bodies_hold_large_texts(body, texts):
    assert found(body) == texts


def test_a_token_is_base64_and_no_two_are_equal():
    first, second = new_token(), new_token()
    assert re.fullmatch(r"[A-Za-z0-9+/]{44}", first)
    assert first != second
    assert base64.b64decode(first, validate=True)


@pytest.mark.parametrize("size", range(10))
def test_the_size_of_base64(size):
    assert base64_size(size) == len(base64.b64encode(bytes(size)))


def test_only_what_is_listed_is_followed():
    one, other = (Content(new_token(), 5, b"", b"") for _ in range(2))
    body = f"a{one.token}b{other.token}c{one.token}".encode()
    assert list(pieces(body, [one])) == [b"a", one, f"b{other.token}c".encode(), one, b""]
    assert list(pieces(body, [])) == [body]
