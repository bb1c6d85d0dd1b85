"""The presence mask and FHIRPath agree: on every constraint of R4, on nodes with random elements present."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Env, FhirPathError, compile_invariant, parse
from fhir_server.validation.invariants import Invariants
from fhir_server.validation.node_writer import NodeWriter
from fhir_server.validation.rules.invariant import NATIVE, Presence
from fhir_server.validation.schema import ElementSchema, NodeSchema, read

DEFINITIONS = Definitions()
TYPES = DEFINITIONS.types
NAMES = [n for n in TYPES.names() if "." not in n and TYPES.type(n).kind in {"resource", "complex-type"}]
SAMPLES: dict[str, Any] = {
    "boolean": True, "integer": 1, "positiveInt": 1, "unsignedInt": 0, "decimal": Decimal("1.0"), "date": "2020", "dateTime": "2020",
    "instant": "2020-01-01T00:00:00Z", "time": "10:00:00",
}  # fmt: skip


def sample(element: ElementSchema, rng: random.Random) -> tuple[str, Any]:
    key, type_ = rng.choice(sorted(element.json_keys().items()))
    info = TYPES.type(type_.code) if type_ is not None else None
    if type_ is not None and (info is None or info.kind == "primitive-type"):
        value = SAMPLES.get(type_.code, "x")
        if rng.random() < 0.2 and not element.is_list and type_.code not in {"element-id", "id", "xhtml"}:
            return f"_{key}", {"extension": [{"url": "http://a", "valueCode": "x"}]}
    else:
        value = {"resourceType": "Patient"} if type_ is not None and type_.code == "Resource" else {"id": "x"}
    return key, [value] if element.is_list else value


def nodes() -> list[NodeSchema]:
    return [node for name in NAMES for node in read(DEFINITIONS.structure(name)).values()]


def test_masks_agree_with_evaluation() -> None:
    rng = random.Random(20240229)
    decided = guarded = 0
    for schema in nodes():
        bits = {e.name: 1 << i for i, e in enumerate(schema.elements)}
        plain = frozenset(
            e.name
            for e in schema.elements
            if not e.is_list
            and not e.is_choice
            and e.types
            and (t := TYPES.type(e.types[0].code))
            and t.kind == "primitive-type"
        )
        presence = Presence(schema.path, bits, plain)
        for constraint in schema.constraints:
            if constraint.key in NATIVE or not constraint.expression:
                continue
            tree = parse(constraint.expression)
            test, guard = presence.test(tree), presence.guard(tree)
            if guard == "True":
                continue
            evaluate = compile_invariant(constraint.expression, schema.type_name, TYPES)
            decided += test is not None
            guarded += test is None
            for _ in range(40):
                node: dict[str, Any] = {}
                mask = 0
                share = rng.random()
                for element in schema.elements:
                    if rng.random() < share:
                        key, value = sample(element, rng)
                        node[key] = value
                        mask |= bits[element.name]
                if not node:
                    continue
                root = node if schema.kind == "resource" else {"resourceType": "Basic"}
                try:
                    truth = evaluate(node, Env(resource=root, root_resource=root))
                except FhirPathError:
                    continue
                may_be_broken = eval(guard, {"mask": mask, "node": node})
                if test is not None:
                    assert bool(may_be_broken) is not truth, (constraint.key, guard, node)
                else:
                    assert may_be_broken or truth, (constraint.key, guard, node)
    assert decided >= 60
    assert guarded >= 60


@pytest.mark.parametrize(
    ("expression", "guard"),
    [
        ("gender.exists()", "not (mask & 0x1 != 0)"),
        ("gender.exists().not()", "not (not (mask & 0x1 != 0))"),
        ("Patient.gender.empty() or photo.exists()", "not ((mask & 0x1 == 0) or (mask & 0x2 != 0))"),
        ("gender.exists() xor photo.exists()", "not ((mask & 0x1 != 0) != (mask & 0x2 != 0))"),
        ("gender.exists() implies photo.empty()", "not (not (mask & 0x1 != 0) or (mask & 0x2 == 0))"),
        ("gender.hasValue()", "not ('gender' in node)"),
        ("photo.hasValue()", "True"),
        ("gender.empty() or photo.title = 'x'", "(not (mask & 0x1 == 0))"),
        ("gender.exists() implies photo.title = 'x'", "(mask & 0x1 != 0)"),
        ("photo.where(title = 'x').empty()", "mask & 0x2 != 0"),
        ("photo.title.all($this = 'x')", "mask & 0x2 != 0"),
        ("photo.count() = 0", "True"),
        ("%resource.photo.empty()", "True"),
        ("photo.exists().empty()", "True"),
        ("unknown.exists()", "True"),
        ("gender.exists() and photo.title = 'x'", "True"),
    ],
)
def test_guards(expression: str, guard: str) -> None:
    presence = Presence("Patient", {"gender": 1, "photo": 2}, frozenset({"gender"}))
    assert presence.guard(parse(expression)) == guard


def test_every_node_compiles_to_python() -> None:
    invariants = Invariants(TYPES, best_practices=True)
    resource_types = frozenset(TYPES.resource_types)
    for schema in nodes():
        compile(NodeWriter(schema, invariants, resource_types).write(), schema.path, "exec")
    assert not invariants.not_evaluated
