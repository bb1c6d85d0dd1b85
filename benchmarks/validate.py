"""CPU time and detection of this validator, beside fhir.resources and jsonschema in the same run.

    python -m benchmarks.validate [--seconds 0.3]

Prints three tables. Microseconds of CPU for one resource (least of several rounds; of a decoded document). Of how many
mutations of each class each validator takes notice; ``jsonschema`` gets a schema that is made here from the types of R4
(names, cardinality, JSON types, references to other types). And what the project promises of its own validator, beside
what was reached (budgets.py). The examples are those that come with the server.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from benchmarks import budgets
from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.content import examples_that_pass
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

#: The types that are measured, with the profile of the second row, if there is one.
TYPES = {
    "Observation": "http://hl7.org/fhir/StructureDefinition/vitalsigns",
    "Patient": "",
    "DocumentReference": "",
    "ExplanationOfBenefit": "",
}
#: Mutants of each class.
MUTANTS = 60
Check = Callable[[dict[str, Any]], bool]


def examples() -> dict[str, dict[str, Any]]:
    """Return one example of each type: for Observation a vital sign."""
    found: dict[str, dict[str, Any]] = {}
    for type_, _, body in examples_that_pass():
        is_vital = type_ != "Observation" or b"vital-signs" in body
        if type_ in TYPES and type_ not in found and is_vital:
            found[type_] = decode(body)
    return found


def ours() -> tuple[Check, Callable[[dict[str, Any], str], bool]]:
    """Return this server's validator: of base definitions, and of a profile."""
    definitions = Definitions()
    validator = Validator(definitions, CodeSets(definitions), as_warnings=frozenset({"txt-2"}))

    def accepts(resource: dict[str, Any], profile: str = "") -> bool:
        issues = validator.validate(resource, (profile,) if profile else ())
        return not any(i.severity == "error" for i in issues)

    return accepts, accepts


def fhir_resources() -> Check:
    """Return fhir.resources (its R4B models, the nearest to R4)."""

    def accepts(resource: dict[str, Any]) -> bool:
        try:
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        except (ValidationError, ValueError, TypeError):
            return False
        return True

    return accepts


def json_schema() -> Check:
    """Return jsonschema with a schema of the types."""
    schema = {"$defs": dict(_definitions())}
    validators = {type_: Draft202012Validator({"$ref": f"#/$defs/{type_}", **schema}) for type_ in TYPES}

    def accepts(resource: dict[str, Any]) -> bool:
        return bool(validators[resource["resourceType"]].is_valid(_plain(resource)))

    return accepts


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=float))


def _definitions() -> Iterator[tuple[str, dict[str, Any]]]:
    types = Definitions().types
    for name in types.names():
        info = types.type(name)
        assert info is not None
        if info.kind == "primitive-type":
            kind = {"boolean": "boolean", "decimal": "number"}.get(name, "string")
            yield name, {"type": "integer" if "nt" in name[-3:] and name != "instant" else kind}
            continue
        properties: dict[str, Any] = {"resourceType": {"const": name}} if info.kind == "resource" else {}
        for key, (element, type_) in info.json_elements.items():
            inner = {"$ref": f"#/$defs/{type_}"} if types.type(type_) else {"type": "string"}
            properties[key] = {"type": "array", "items": inner} if element.is_list else inner
            properties["_" + key] = {}
        required = [e.name for e in info.elements.values() if e.minimum > 0 and not e.is_choice]
        is_open = info.is_abstract and info.kind == "resource"
        yield name, {
            "type": "object", "properties": properties, "required": required, "additionalProperties": is_open,
        }  # fmt: skip


def microseconds(call: Callable[[], object], seconds: float) -> float:
    """Return the CPU time of one call: the least of five rounds."""
    call()
    best = float("inf")
    for _ in range(5):
        count, start = 0, time.process_time()
        while time.process_time() - start < seconds / 5:
            call()
            count += 1
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the path and value of everything below a resource but its type."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        if key != "resourceType" and key != "text":  # noqa: PLR1714
            yield (*path, key), value
            yield from places(value, (*path, key))


def is_date(value: Any) -> bool:
    """Tell whether a value looks like a full date."""
    return isinstance(value, str) and value[:2] in {"19", "20"} and value[4:5] == "-" and len(value) > 9


#: Mutations: where they apply, and the new value.
MUTATIONS: dict[str, tuple[Callable[[tuple[str | int, ...], Any], bool], Callable[[Any], Any]]] = {
    "unknown property": (lambda _, v: isinstance(v, dict), lambda v: {**v, "unknownThing": 1}),
    "wrong primitive type": (lambda _, v: isinstance(v, str), lambda _: 7),
    "array for a single value": (
        lambda p, v: isinstance(v, str) and not isinstance(p[-1], int), lambda v: [v],
    ),
    "empty array": (lambda _, v: isinstance(v, list), lambda _: []),
    "empty object": (lambda _, v: isinstance(v, dict), lambda _: {}),
    "impossible date": (lambda _, v: is_date(v), lambda v: v[:4] + "-02-31" + v[10:]),
    "code outside its value set": (lambda p, _: p[-1] in {"status", "use", "gender"}, lambda _: "nonsense"),
    "reference to a wrong type": (lambda p, v: p[-1] == "reference" and "/" in str(v), lambda _: "Slot/1"),
}  # fmt: skip


def detection(validators: dict[str, Check], documents: dict[str, dict[str, Any]]) -> None:
    """Print how many mutants each validator rejects."""
    dice = random.Random(4)
    print(f"\n{'mutation':28}" + "".join(f"{name:>18}" for name in validators))
    for title, (applies, change) in MUTATIONS.items():
        spots = [(t, p, v) for t, d in documents.items() for p, v in places(d) if applies(p, v)]
        chosen = dice.sample(spots, min(MUTANTS, len(spots)))
        caught = dict.fromkeys(validators, 0)
        for type_, path, value in chosen:
            mutant = copy.deepcopy(documents[type_])
            holder: Any = mutant
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = change(value)
            for name, accepts in validators.items():
                caught[name] += not accepts(mutant)
        rates = "".join(f"{100 * caught[n] // max(len(chosen), 1):>17}%" for n in validators)
        print(f"{title:28}{rates}  of {len(chosen)}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="CPU time and detection of validators.")
    parser.add_argument("--seconds", type=float, default=0.3, help="CPU seconds for each cell")
    seconds = parser.parse_args().seconds
    documents = examples()
    base, profiled = ours()
    validators: dict[str, Check] = {
        "fhir_server": base, "fhir.resources": fhir_resources(), "jsonschema": json_schema(),
    }  # fmt: skip
    print(f"{'resource':42}{'bytes':>7}" + "".join(f"{name + ' us':>19}" for name in validators))
    for type_, document in documents.items():
        size = len(json.dumps(document, default=str, separators=(",", ":")))
        cells = [microseconds(lambda c=check, d=document: c(d), seconds) for check in validators.values()]  # type: ignore[misc]
        print(f"{type_:42}{size:>7}" + "".join(f"{cell:>19.1f}" for cell in cells))
        if profile := TYPES[type_]:
            cell = microseconds(lambda d=document, p=profile: profiled(d, p), seconds)  # type: ignore[misc]
            print(f"{type_ + ' ' + Path(profile).name:42}{size:>7}{cell:>19.1f}")
    detection(validators, documents)
    budgets.report(lambda call: microseconds(call, seconds))


if __name__ == "__main__":
    main()
