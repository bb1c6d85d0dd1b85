"""Generated code and the interpreter agree on random resources for all base constraints."""

from __future__ import annotations

import random
import re
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath import Env, FhirPathError, compile_expression, compile_invariant
from fhir_server.fhirpath.corrections import corrected

_TEXTS = {
    "date": ["2020", "2020-01", "2020-01-02", "2020-01-03"],
    "dateTime": [
        "2020",
        "2020-01",
        "2020-01-02",
        "2020-01-02T10:00:00Z",
        "2020-01-02T11:00:00+01:00",
        "2020-01-02T12:30:00.5Z",
    ],
    "instant": ["2020-01-02T10:00:00Z", "2020-01-02T11:00:00+01:00", "2020-01-02T10:00:00.000Z"],
    "time": ["10:00:00", "10:00:00.0", "11:30:00"],
}
_PLAIN = ["a", "b", "#a", "#", "http:x"]
_EXTENSION = {"url": "http://e", "valueBoolean": True}


class Generator:
    """Draws values; ``favoured`` element names are present more often, ``pool`` holds strings to draw from."""

    def __init__(self, types: Any, rng: random.Random, pool: list[str], favoured: set[str]) -> None:
        self.types, self.rng, self.pool, self.favoured = types, rng, pool, favoured

    def element(self, type_name: str, depth: int = 0) -> Any:
        """Return a value of a type: a plain value for primitives, an object otherwise."""
        info = self.types.type(type_name)
        if info is None or info.kind == "primitive-type":
            return self.primitive(type_name)
        if type_name in {"Resource", "DomainResource"}:
            type_name = self.rng.choice(["Composition", "MessageHeader", "Patient", "Practitioner", "Binary"])
            info = self.types.type(type_name)
        out: dict[str, Any] = {"resourceType": type_name} if info.kind == "resource" else {}
        for element in info.elements.values():
            if element.name in {"extension", "modifierExtension"} and depth:
                continue
            wanted = element.name in self.favoured
            if self.rng.random() < (0.65 if wanted else 0.06 if depth < 2 else 0.0):
                self._add(out, element, depth)
        return out

    def _add(self, out: dict[str, Any], element: Any, depth: int) -> None:
        if depth > 4:
            return
        key, type_name = self.rng.choice(list(element.json_keys().items()))
        info = self.types.type(type_name)
        primitive = info is None or info.kind == "primitive-type"
        count = self.rng.choice([1, 1, 2, 3]) if element.is_list else 1
        values = [self.element(type_name, depth + 1) for _ in range(count)]
        values = [v for v in values if v != {}]
        if not values:
            return
        if primitive and key != "id" and self.rng.random() < 0.2:
            self._add_with_sibling(out, key, values, element.is_list)
        else:
            out[key] = values if element.is_list else values[0]

    def _add_with_sibling(self, out: dict[str, Any], key: str, values: list[Any], is_list: bool) -> None:
        sibling = {"extension": [_EXTENSION]}
        bare = [self.rng.random() < 0.6 for _ in values]
        if not is_list:
            if not bare[0]:
                out[key] = values[0]
            out["_" + key] = sibling
            return
        if not all(bare):
            out[key] = [None if b else v for b, v in zip(bare, values, strict=True)]
        out["_" + key] = [sibling if b else None for b in bare] if any(bare) else [sibling] * len(values)

    def primitive(self, type_name: str) -> Any:
        """Return a value of a primitive type."""
        if type_name == "boolean":
            return self.rng.random() < 0.5
        if type_name in {"integer", "positiveInt", "unsignedInt"}:
            return self.rng.choice([0, 1, 2, 3])
        if type_name == "decimal":
            return self.rng.choice([1, 2, 101, Decimal("1.0"), Decimal("2.50"), Decimal("0.5")])
        if type_name in _TEXTS:
            return self.rng.choice(_TEXTS[type_name])
        return self.rng.choice(self.pool if self.pool and self.rng.random() < 0.7 else _PLAIN)


def interpreted(expression, node, env):
    try:
        return expression.is_true(node, env)
    except FhirPathError as error:
        if error.phase != "execution":
            raise
        return False


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_generated_code_agrees_with_the_interpreter(base_constraints, types, seed):
    rows = {expression: (key, type_name) for key, expression, type_name in base_constraints}
    for expression, (key, type_name) in rows.items():
        invariant = compiled(compile_invariant, expression, type_name, types)
        reference = compiled(published_expression, corrected(expression), type_name, types)
        favoured = {*re.findall(r"[a-z]\w*", expression), "coding", "code", "system"}
        generator = Generator(types, random.Random(seed), re.findall(r"'([^']*)'", expression), favoured)
        node = generator.element(type_name)
        root = (
            node
            if isinstance(node, dict) and "resourceType" in node
            else generator.element(resource_of(type_name))
        )
        env = Env(root, root)
        assert invariant(node, env) is interpreted(reference, node, env), (key, type_name, node, root)


def resource_of(type_name):
    return type_name.partition(".")[0] if "." in type_name else "Resource"


def published_expression(expression, type_name, types):
    return compile_expression(expression, types, type_name, published=True)


_COMPILED: dict[tuple[Any, ...], Any] = {}


def compiled(compile_, expression, type_name, types):
    key = (compile_, expression, type_name)
    if key not in _COMPILED:
        _COMPILED[key] = compile_(expression, type_name, types)
    return _COMPILED[key]
