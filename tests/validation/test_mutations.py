"""Every defect that can be made in valid resources is found, and where it was made."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.definitions import Definitions, ElementInfo
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

RESOURCES = [
    decode(encode(resource))
    for resource in json.loads(Path(__file__).with_name("resources.json").read_text(), parse_float=Decimal)
]
DEFINITIONS = Definitions()
TYPES = DEFINITIONS.types
CODE_SETS = CodeSets(DEFINITIONS)
VALIDATOR = Validator(DEFINITIONS, CODE_SETS)


@dataclass(frozen=True)
class Site:
    """One property of one object: the way to the object, the property, what is defined for it."""

    way: tuple[str | int, ...]
    node_type: str
    key: str
    element: ElementInfo
    type_name: str
    value: Any

    @property
    def is_primitive(self) -> bool:
        info = TYPES.type(self.type_name)
        return info is not None and info.kind == "primitive-type"

    @property
    def is_list(self) -> bool:
        return self.element.is_list


def sites(node: dict[str, Any], type_name: str, way: tuple[str | int, ...] = ()) -> Iterator[Site]:
    type_name = node.get("resourceType", type_name)
    info = TYPES.type(type_name)
    assert info is not None
    for key, value in node.items():
        if key == "resourceType" or key.startswith("_"):
            continue
        element, element_type = info.json_elements[key]
        site = Site(way, type_name, key, element, element_type, value)
        yield site
        if not site.is_primitive:
            for step, item in enumerate(value) if site.is_list else [("", value)]:
                if isinstance(item, dict):
                    yield from sites(item, element_type, (*way, key) if step == "" else (*way, key, step))


def at(resource: dict[str, Any], way: tuple[str | int, ...]) -> Any:
    node: Any = resource
    for step in way:
        node = node[step]
    return node


Mutation = Callable[[dict[str, Any], Site], bool]
MUTATIONS: dict[str, tuple[Mutation, set[str]]] = {}


def mutation(*codes: str) -> Callable[[Mutation], Mutation]:
    """Register a function that changes the site's object; it returns False where it doesn't apply."""

    def register(function: Mutation) -> Mutation:
        MUTATIONS[function.__name__] = (function, set(codes))
        return function

    return register


@mutation("structure")
def unknown_property(node: dict[str, Any], site: Site) -> bool:
    node["zzz"] = "x"
    return True


@mutation("structure")
def misspelt_property(node: dict[str, Any], site: Site) -> bool:
    node[site.key + "s"] = node.pop(site.key)
    return f"{site.key}s" not in TYPES.type(site.node_type).json_elements


@mutation("required")
def required_removed(node: dict[str, Any], site: Site) -> bool:
    del node[site.key]
    node.setdefault("extension", [{"url": "http://example.org/x", "valueCode": "x"}])
    return site.element.minimum > 0 and f"_{site.key}" not in node and site.node_type != "Extension"


@mutation("structure")
def wrong_json_type(node: dict[str, Any], site: Site) -> bool:
    wrong: Any = 1 if not isinstance(site.value, int | Decimal) or isinstance(site.value, bool) else "1"
    if isinstance(site.value, list):
        if site.value[0] is None:
            return False
        wrong = [1 if not isinstance(site.value[0], int | Decimal) else "1", *site.value[1:]]
    node[site.key] = wrong
    return True


@mutation("structure")
def number_as_string(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = str(site.value)
    return isinstance(site.value, int | Decimal)


@mutation("structure")
def array_for_single(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = [site.value]
    return not site.is_list


@mutation("structure")
def single_for_array(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = site.value[0] if site.is_list else None
    return site.is_list


@mutation("structure")
def array_in_array(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = [site.value] if site.is_list else None
    return site.is_list


@mutation("structure")
def null_value(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = None
    return True


@mutation("structure")
def null_item(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = [*site.value, None] if site.is_list else None
    return site.is_list


@mutation("structure")
def empty_array(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = []
    return True


@mutation("structure", "value")
def empty_object(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = [{}] if site.is_list else {}
    return True


@mutation("value", "code-invalid", "structure", "invariant")
def empty_string(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = [""] if site.is_list else ""
    return site.is_primitive and isinstance(site.value[0] if site.is_list else site.value, str)


BAD_SYNTAX: dict[str, Any] = {
    "date": "2023-13-01", "dateTime": "2023-01-01T10:00:00", "instant": "2023-01-01", "time": "24:00:00", "code": "a  b",
    "id": "a_b", "uri": "a b", "url": "a b", "canonical": "a b", "oid": "1.2", "uuid": "1", "base64Binary": "a&b",
    "integer": 2**31, "positiveInt": 0, "unsignedInt": -1, "string": "\x01", "markdown": " ", "boolean": "true", "decimal": "1",
}  # fmt: skip


@mutation("value", "code-invalid", "structure")
def bad_syntax(node: dict[str, Any], site: Site) -> bool:
    if not site.is_primitive or site.type_name == "xhtml":
        return False
    node[site.key] = [BAD_SYNTAX[site.type_name]] if site.is_list else BAD_SYNTAX[site.type_name]
    return True


@mutation("value")
def impossible_date(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = "2023-02-31" + ("T10:00:00Z" if site.type_name == "instant" else "")
    return site.type_name in {"date", "dateTime", "instant"}


def required_value_set(site: Site) -> str:
    structure = DEFINITIONS.structure(site.node_type.partition(".")[0])
    for element in structure["snapshot"]["element"]:
        if element["path"].removesuffix("[x]") == f"{site.node_type}.{site.element.name}":
            binding = element.get("binding", {})
            return binding.get("valueSet", "") if binding.get("strength") == "required" else ""
    return ""


@mutation("code-invalid")
def code_outside_required_binding(node: dict[str, Any], site: Site) -> bool:
    if not required_value_set(site):
        return False
    if site.type_name == "code":
        node[site.key] = ["zzz"] if site.is_list else "zzz"
        return True
    node[site.key] = {"coding": [{"system": "http://example.org", "code": "active"}]}
    return site.type_name == "CodeableConcept" and not site.is_list


@mutation("structure")
def two_choice_values(node: dict[str, Any], site: Site) -> bool:
    if not site.element.is_choice:
        return False
    other = next(
        (
            k
            for k, t in site.element.json_keys().items()
            if k != site.key and t in {"string", "dateTime", "boolean", "Period", "Reference"}
        ),
        None,
    )
    if other is None:
        return False
    node[other] = {
        "string": "x", "dateTime": "2020", "boolean": True, "Period": {"start": "2020"}, "Reference": {"display": "x"},
    }[site.element.json_keys()[other]]  # fmt: skip
    return True


@mutation("structure")
def choice_type_not_allowed(node: dict[str, Any], site: Site) -> bool:
    node[site.element.name + "Xyz"] = node.pop(site.key)
    return site.element.is_choice


@mutation("structure")
def wrong_reference_type(node: dict[str, Any], site: Site) -> bool:
    if site.type_name != "Reference" or "Resource" in site.element.targets:
        return False
    wrong = next(t for t in ("Substance", "Appointment") if t not in site.element.targets)
    reference = {"reference": f"{wrong}/1"}
    node[site.key] = [reference] if site.is_list else reference
    return True


@mutation("value")
def reference_type_disagrees(node: dict[str, Any], site: Site) -> bool:
    if site.type_name != "Reference" or site.is_list:
        return False
    node[site.key] = {"reference": "Patient/1", "type": "Group"}
    return True


@mutation("value")
def malformed_reference(node: dict[str, Any], site: Site) -> bool:
    reference = {"reference": "1" if site.element.is_list else "Foo/1"}
    node[site.key] = [reference] if site.is_list else reference
    return site.type_name == "Reference"


@mutation("invariant")
def contained_target_missing(node: dict[str, Any], site: Site) -> bool:
    reference = {"reference": "#nowhere"}
    node[site.key] = [reference] if site.is_list else reference
    return site.type_name == "Reference"


@mutation("invariant", "structure")
def bad_narrative(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'
    return site.type_name == "xhtml"


@mutation("invariant")
def quantity_code_without_system(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = {"value": 1, "code": "mg"}
    return site.type_name in {"Quantity", "Age", "Duration"}


@mutation("structure")
def simple_quantity_with_comparator(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = {"value": 1, "comparator": "<"}
    return (site.node_type, site.key) in {
        ("Observation.referenceRange", "low"),
        ("MedicationRequest.dispenseRequest", "quantity"),
    }


@mutation("invariant")
def extension_with_value_and_extension(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = [{"url": "http://a", "valueCode": "x", "extension": [{"url": "b", "valueCode": "x"}]}]
    return site.type_name == "Extension"


@mutation("invariant")
def extension_without_value(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = [{"url": "http://a"}]
    return site.type_name == "Extension"


@mutation("value")
def id_of_65_characters(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = "x" * 65
    return site.key == "id" and TYPES.type(site.node_type).kind == "resource" and "contained" not in site.way


@mutation("invariant")
def only_an_id(node: dict[str, Any], site: Site) -> bool:
    if site.is_primitive or site.type_name == "Resource":
        return False
    node[site.key] = [{"id": "x"}] if site.is_list else {"id": "x"}
    return not any(e.minimum for e in TYPES.type(site.type_name).elements.values())


@mutation("invariant")
def primitive_with_only_an_id(node: dict[str, Any], site: Site) -> bool:
    del node[site.key]
    node[f"_{site.key}"] = [{"id": "x"}] if site.is_list else {"id": "x"}
    return site.is_primitive and site.type_name != "xhtml" and site.key not in {"id", "url"}


@mutation("invariant")
def period_that_ends_before_it_starts(node: dict[str, Any], site: Site) -> bool:
    node[site.key] = {"start": "2024-01-02", "end": "2024-01-01"}
    return site.type_name == "Period"


@mutation("structure")
def sibling_is_no_object(node: dict[str, Any], site: Site) -> bool:
    node[f"_{site.key}"] = ["x"] if site.is_list else "x"
    return site.is_primitive and site.key != "id" and (site.node_type, site.key) != ("Extension", "url")


@mutation("structure")
def unknown_resource_type(node: dict[str, Any], site: Site) -> bool:
    resource = {"resourceType": "Patience"}
    node[site.key] = [resource] if site.is_list else resource
    return site.type_name == "Resource"


@mutation("required")
def resource_without_type(node: dict[str, Any], site: Site) -> bool:
    resource = {"id": "x"}
    node[site.key] = [resource] if site.is_list else resource
    return site.type_name == "Resource"


@mutation("invariant")
def contained_in_contained(node: dict[str, Any], site: Site) -> bool:
    if site.key != "contained":
        return False
    node[site.key][0]["contained"] = [{"resourceType": "Patient"}]
    return True


@mutation("invariant")
def contained_with_version(node: dict[str, Any], site: Site) -> bool:
    if site.key != "contained":
        return False
    node[site.key][0]["meta"] = {"versionId": "1"}
    return True


@mutation("invariant")
def contained_without_reference(node: dict[str, Any], site: Site) -> bool:
    if site.key != "contained":
        return False
    node[site.key].append({"resourceType": "Patient", "id": "lonely"})
    return True


@mutation("business-rule")
def wrong_attachment_size(node: dict[str, Any], site: Site) -> bool:
    node["size"] = 4
    return (site.node_type, site.key) == ("Attachment", "data")


@mutation("value")
def two_elements_with_one_id(node: dict[str, Any], site: Site) -> bool:
    if (site.node_type, site.key) != ("HumanName", "use"):
        return False
    node["period"] = {"id": "n1", "start": "2020"}
    return True


def test_the_resources_are_valid() -> None:
    for resource in RESOURCES:
        issues = VALIDATOR.validate(resource)
        assert [i for i in issues if i.severity == "error"] == []
        # They carry extensions, and claim profiles, that aren't of R4.
        assert {i.rule.partition("@")[0] for i in issues} <= {
            "unknown-extension", "profile", "binding-extensible",
        }  # fmt: skip


def shown(way: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)


def plain(expression: str) -> str:
    """Return the path as JSON names it: choice elements keep their type in the name."""
    path = expression.partition(".")[2]
    while ".ofType(" in path:
        head, _, rest = path.partition(".ofType(")
        type_name, _, tail = rest.partition(")")
        path = head + type_name[0].upper() + type_name[1:] + tail
    return f".{path}" if path else ""


def related(path: str, around: str) -> bool:
    return path.startswith(around) or around.startswith(path)


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_mutation_is_found_where_it_was_made(name: str) -> None:
    mutate, codes = MUTATIONS[name]
    made = 0
    for resource in RESOURCES:
        for site in list(sites(resource, resource["resourceType"])):
            changed = copy.deepcopy(resource)
            if not mutate(at(changed, site.way), site):
                continue
            made += 1
            place = f"{resource['resourceType']}{shown(site.way)}.{site.key}"
            issues = [i for i in VALIDATOR.validate(changed) if i.severity == "error"]
            assert issues, f"{name} at {place} was not found"
            around = shown(site.way)
            found = [i for i in issues if i.code in codes]
            assert any(related(plain(i.expression), around) for i in found), f"{name} at {place}: {issues}"
    assert made
