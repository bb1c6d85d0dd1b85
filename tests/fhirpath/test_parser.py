from __future__ import annotations

import pytest

from fhir_server.fhirpath import FhirPathError, parse
from fhir_server.fhirpath.lexer import MAX_LENGTH
from fhir_server.fhirpath.tree import Binary, Call, Literal, Member, TypeOperation, Unary

A, B, C = (Member(None, name) for name in "abc")


def bare(tree):
    """The tree as nested tuples without positions."""
    if isinstance(tree, tuple):
        return tuple(bare(t) for t in tree)
    if hasattr(tree, "__dataclass_fields__") and hasattr(tree, "position"):
        fields = [f for f in tree.__dataclass_fields__ if f != "position"]
        return (type(tree).__name__, *(bare(getattr(tree, f)) for f in fields))
    return tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a or b and c", Binary("or", A, Binary("and", B, C))),
        ("a implies b implies c", Binary("implies", Binary("implies", A, B), C)),
        ("a | b = c", Binary("=", Binary("|", A, B), C)),
        ("a > b is X", Binary(">", A, TypeOperation("is", B, "X"))),
        ("-a.b", Unary("-", Member(A, "b"))),
        ("a as System.String", TypeOperation("as", A, "System.String")),
        ("a.is(b)", Call(A, "is", (B,))),
        ("a.contains(b)", Call(A, "contains", (B,))),
        ("a contains b", Binary("contains", A, B)),
        ("`a` /* c */ // d", A),
        ("'\\u0041\\n'", Literal("A\n")),
    ],
)
def test_trees(text, tree):
    assert bare(parse(text)) == bare(tree)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.",
        "a b",
        "(a",
        "a)",
        "a[",
        "a[]",
        "f(,)",
        "'a",
        "'\\x'",
        "/* a",
        "a.'b'",
        "@2020-13",
        "@T25",
        "2 +",
        "$that",
        "{1}",
    ],
)
def test_syntax_errors(text):
    with pytest.raises(FhirPathError) as caught:
        parse(text)
    assert caught.value.phase == "syntax"
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "text", ["(" * 200 + "a" + ")" * 200, "a" * (MAX_LENGTH + 1), "-" * 500 + "1", "a[" * 100]
)
def test_limits(text):
    with pytest.raises(FhirPathError):
        parse(text)
