from __future__ import annotations

import time

import pytest

from fhir_server.datatypes.xhtml import MAX_DEPTH, problem


def div(content: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'


ACCEPTED = [
    div("x"),
    "  " + div("x") + "\n",
    div('<p class="a" style="color: red">x &lt; &amp; &#160; é</p><br/>'),
    div(
        '<a name="x">y</a><a href="http://a">b</a><a href="mailto:a@b">b</a><a href="Patient/1">c</a><a href="#x">d</a>'
    ),
    div('<img src="#i"/>'),
    div('<img alt="" src="data:image/png;base64,AA=="/>'),
    div("<table><thead><tr><th colspan='2'>x</th></tr></thead></table><!-- a comment -->"),
    div("<![CDATA[x]]>"),
    div('<p xml:lang="fr" lang="fr" dir="ltr">x</p>'),
    div("<b>" * (MAX_DEPTH - 1) + "x" + "</b>" * (MAX_DEPTH - 1)),
]

# text -> rule
REFUSED = {
    "": "xhtml",
    "x": "xhtml",
    "<div>x</div>": "xhtml",
    '<p xmlns="http://www.w3.org/1999/xhtml">x</p>': "xhtml",
    '<div xmlns="http://www.w3.org/1999/xhtml">x</div><div/>': "xhtml",
    div("<p>x"): "xhtml",
    '<!DOCTYPE div [<!ENTITY x "y">]>' + div("&x;"): "xhtml",
    '<!DOCTYPE div SYSTEM "http://a/b.dtd">' + div("x"): "xhtml",
    div("a&nbsp;b"): "txt-1",
    div("<script>x</script>"): "txt-1",
    div("<iframe/>x"): "txt-1",
    div("<form>x</form>"): "txt-1",
    div("<object>x</object>"): "txt-1",
    div("<font>x</font>"): "txt-1",
    div("<style>x</style>"): "txt-1",
    div("<P>x</P>"): "txt-1",
    div('<svg xmlns="http://www.w3.org/2000/svg">x</svg>'): "txt-1",
    div('<p onclick="x">x</p>'): "txt-1",
    div('<a href="javascript:x">x</a>'): "txt-1",
    div('<a href=" JavaScript&#58;x">x</a>'): "txt-1",
    div('<a href="java&#10;script:x">x</a>'): "txt-1",
    div('<a href="data:text/html,x">x</a>'): "txt-1",
    div('<img src="data:text/html,x"/>'): "txt-1",
    div('<p style="width: expression(x)">x</p>'): "txt-1",
    div("<?php x ?>y"): "txt-1",
    div("<b>" * MAX_DEPTH + "x" + "</b>" * MAX_DEPTH): "txt-1",
    div(""): "txt-2",
    div(" \n <p> </p>"): "txt-2",
    div("x" * 1_048_577): "xhtml",
}


@pytest.mark.parametrize("text", ACCEPTED, ids=lambda text: text[:60])
def test_accepted(text: str) -> None:
    assert problem(text) is None
    assert problem(text) is None, "and again, from memory"


@pytest.mark.parametrize(("text", "rule"), REFUSED.items(), ids=lambda text: text[:60])
def test_refused(text: str, rule: str) -> None:
    found = problem(text)
    assert found is not None
    assert found[0] == rule
    assert found[1].endswith(".")
    assert problem(text) == found


@pytest.mark.parametrize("value", [None, 1, True, {}, []])
def test_only_strings(value: object) -> None:
    assert problem(value) == ("xhtml", "The narrative must be a string that holds XHTML.")


def test_a_megabyte_takes_bounded_time() -> None:
    start = time.process_time()
    assert problem(div("<p>x</p>" * 130_000)) is None
    assert time.process_time() - start < 30  # a hang, not a speed: quadratic work would take minutes
