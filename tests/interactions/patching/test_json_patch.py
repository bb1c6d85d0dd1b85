"""JSON Patch: https://www.rfc-editor.org/rfc/rfc6902, https://www.rfc-editor.org/rfc/rfc6901."""

import pytest

from fhir_server.datatypes.json_format import decode, decode_list, encode
from fhir_server.interactions.patching.budget import Budget
from fhir_server.interactions.patching.json_patch import apply, read_operations
from fhir_server.outcome import FhirError

DOCUMENT = (
    b'{"a":{"b":[1,2,3]},"s":"text","n":72.50,"t":true,"z":null,"":{"":1},"m/n":8,"x~y":9,"o":{"p":{"q":1}}}'
)


def patch(*operations, document=DOCUMENT):
    sent = decode_list(encode(list(operations)))
    return apply(decode(document), read_operations(sent), Budget(len(document), 100))


def op(name, path, value=..., **more):
    return {"op": name, "path": path, **more, **({} if value is ... else {"value": value})}


@pytest.mark.parametrize(
    ("operation", "place", "expected"),
    [
        (op("add", "/new", {"k": [1]}), "new", {"k": [1]}),
        (op("add", "/s", 1), "s", 1),
        (op("add", "/z", []), "z", []),
        (op("add", "/a/b/0", 0), "a", {"b": [0, 1, 2, 3]}),
        (op("add", "/a/b/3", 4), "a", {"b": [1, 2, 3, 4]}),
        (op("add", "/a/b/-", 4), "a", {"b": [1, 2, 3, 4]}),
        (op("add", "//", 2), "", {"": 2}),
        (op("add", "/a/-", 2), "a", {"b": [1, 2, 3], "-": 2}),
        (op("remove", "/a/b/1"), "a", {"b": [1, 3]}),
        (op("remove", "/m~1n"), "m/n", ...),
        (op("remove", "/x~0y"), "x~y", ...),
        (op("remove", "/z"), "z", ...),
        (op("remove", "/o/p/q"), "o", ...),
        (op("replace", "/a/b/2", None), "a", {"b": [1, 2, None]}),
        (op("replace", "/t", 5), "t", 5),
        (op("move", "/a/b/0", **{"from": "/a/b/2"}), "a", {"b": [3, 1, 2]}),
        (op("move", "/a/b/2", **{"from": "/a/b/0"}), "a", {"b": [2, 3, 1]}),
        (op("move", "/s2", **{"from": "/s"}), "s2", "text"),
        (op("move", "/s", **{"from": "/s"}), "s", "text"),
        (op("copy", "/a/c", **{"from": "/a/b"}), "a", {"b": [1, 2, 3], "c": [1, 2, 3]}),
        (op("copy", "/a/b/-", **{"from": "/a/b/0"}), "a", {"b": [1, 2, 3, 1]}),
        (op("test", "/n", 72.5), "s", "text"),
        (op("test", "/a/b/0", 1.0), "s", "text"),
        (op("test", "/z", None), "s", "text"),
        (op("test", "/o", {"p": {"q": 1}}), "s", "text"),
        (op("add", "/s", 1, unknown="ignored", extra=[]), "s", 1),
    ],
)
def test_one_operation(operation, place, expected):
    assert patch(operation).get(place, ...) == expected


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        (op("add", "/a/b/4", 1), 422),
        (op("add", "/a/b/01", 1), 422),
        (op("add", "/a/b/-1", 1), 422),
        (op("add", "/a/b/1e0", 1), 422),
        (op("add", "/a/b/one", 1), 422),
        (op("add", "/missing/x", 1), 422),
        (op("add", "/s/x", 1), 422),
        (op("remove", "/a/b/3"), 422),
        (op("remove", "/a/b/-"), 422),
        (op("remove", "/missing"), 422),
        (op("replace", "/missing", 1), 422),
        (op("replace", "/a/b/3", 1), 422),
        (op("move", "/x", **{"from": "/missing"}), 422),
        (op("move", "/missing", **{"from": "/missing"}), 422),
        (op("copy", "/x", **{"from": "/missing"}), 422),
        (op("copy", "/missing/x", **{"from": "/s"}), 422),
        (op("test", "/missing", None), 422),
        (op("test", "/s", "other"), 422),
        (op("test", "/t", 1), 422),
        (op("test", "/a/b", [1, 2]), 422),
        (op("test", "/a/b", [1, 3, 2]), 422),
        (op("test", "/o", {"p": {}}), 422),
        (op("move", "/a/b/x", **{"from": "/a"}), 400),
        (op("add", "/x"), 400),
        (op("replace", "/s"), 400),
        (op("test", "/s"), 400),
        (op("move", "/x"), 400),
        (op("copy", "/x"), 400),
        ({"op": "add", "value": 1}, 400),
        ({"path": "/s", "value": 1}, 400),
        (op("Add", "/x", 1), 400),
        (op("merge", "/x", 1), 400),
        (op(["add"], "/x", 1), 400),
        (op("add", "x", 1), 400),
        (op("add", "/x~2", 1), 400),
        (op("add", "/x~", 1), 400),
        (op("add", 1, 1), 400),
        (op("copy", "/x", **{"from": 5}), 400),
        ("add", 400),
    ],
)
def test_what_is_refused(operation, status):
    with pytest.raises(FhirError) as refused:
        patch(operation)
    assert refused.value.status == status
    assert refused.value.issues[0].diagnostics.startswith("Operation 1")


def test_the_text_of_numbers_survives():
    made = patch(op("add", "/s", 1), document=b'{"n":72.50,"e":1e2,"big":12345678901234567890123,"s":2}')
    assert encode(made) == b'{"n":72.50,"e":1e2,"big":12345678901234567890123,"s":1}'


def test_later_operations_do_not_change_the_patch_or_its_copies():
    operations = read_operations(
        [
            op("add", "/x", {"k": [1]}),
            op("copy", "/y", **{"from": "/x"}),
            op("add", "/x/k/-", 2),
        ]
    )
    for _ in range(2):
        made = apply(decode(DOCUMENT), operations, Budget(1000, 1000))
        assert (made["x"], made["y"]) == ({"k": [1, 2]}, {"k": [1]})


def test_only_what_removing_made_empty_is_gone():
    made = patch(
        op("remove", "/list/0"),
        op("remove", "/deep/a/b"),
        op("remove", "/filled/0"),
        op("add", "/filled/-", 2),
        document=b'{"list":[1],"deep":{"a":{"b":1}},"filled":[1],"empty":[],"id":"x"}',
    )
    assert made == {"filled": [2], "empty": [], "id": "x"}


def test_the_whole_document_can_be_replaced_and_tested():
    assert patch(op("replace", "", {"k": 1}), op("test", "", {"k": 1})) == {"k": 1}
    assert patch(op("remove", "")) is None


def test_growth_is_stopped_before_it_happens():
    document = encode({"resourceType": "Basic", "a": "x" * 900})
    copies = [op("copy", "/b", **{"from": ""})] + [op("copy", f"/c{n}", **{"from": ""}) for n in range(21)]
    with pytest.raises(FhirError) as refused:
        patch(*copies, document=document)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "operations",
    [
        [op("add", "/a" * 63, {"b": {}})],
        [op("add", "/x", {"k": 1})] + [op("copy", "/x/k", **{"from": "/x"})] * 70,
        [op("add", "/x", {"k": 1})] + [op("copy", "/y/k", **{"from": "/x"})] * 70,
    ],
)
def test_nesting_is_bounded(operations):
    with pytest.raises(FhirError):
        patch(*operations)


def test_200_operations_are_the_most():
    assert patch(*[op("test", "/s", "text")] * 200)
    with pytest.raises(FhirError) as refused:
        patch(*[op("test", "/s", "text")] * 201)
    assert refused.value.status == 400
