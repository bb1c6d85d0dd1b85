"""Changes of a JSON text that leave the rest as it was written."""

from __future__ import annotations

import pytest

from fhir_server.datatypes.json_splicing import spliced

TEXT = b"""{
  "a" : 1.50,
  "b": [ {"c": "x"}, 2 ,3 ],
  "e/f": {}
}
"""


@pytest.mark.parametrize(
    ("operations", "old", "new"),
    [
        ([{"op": "replace", "path": "/a", "value": "y"}], b"1.50", b'"y"'),
        ([{"op": "replace", "path": "/b/0/c", "value": True}], b'"x"', b"true"),
        ([{"op": "replace", "path": "/e~1f", "value": [1]}], b"{}\n", b"[1]\n"),
        ([{"op": "remove", "path": "/a"}], b'"a" : 1.50,\n  ', b""),
        ([{"op": "remove", "path": "/e~1f"}], b',\n  "e/f": {}', b""),
        ([{"op": "remove", "path": "/b/1"}], b"2 ,", b""),
        ([{"op": "remove", "path": "/b/2"}], b" ,3", b" "),
        ([{"op": "move", "from": "/a", "path": "/A"}], b'"a"', b'"A"'),
        ([{"op": "add", "path": "/resourceType", "value": "T"}], b"{\n  ", b'{\n  "resourceType": "T",\n  '),
        ([{"op": "add", "path": "/e~1f/g", "value": 1}], b"{}", b'{"g": 1}'),
    ],
)
def test_one_operation(operations, old, new):
    assert spliced(TEXT, operations) == TEXT.replace(old, new, 1)


def test_several_at_once_have_the_paths_of_the_original():
    operations = [
        {"op": "remove", "path": "/b/0"},
        {"op": "replace", "path": "/b/2", "value": 4},
        {"op": "remove", "path": "/e~1f"},
    ]
    assert spliced(TEXT, operations) == b'{\n  "a" : 1.50,\n  "b": [ 2 ,4 ]\n}\n'


def test_nothing_there():
    with pytest.raises(LookupError):
        spliced(TEXT, [{"op": "remove", "path": "/zzz"}])


def test_a_byte_order_mark_stays():
    assert (
        spliced(b'\xef\xbb\xbf {"a":1}', [{"op": "replace", "path": "/a", "value": 2}])
        == b'\xef\xbb\xbf {"a":2}'
    )
