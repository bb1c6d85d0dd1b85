"""Resources with one defect each, made from valid ones by what the published snapshots say of every element.

Only what the specification makes invalid is made: the walk knows the definitions that hold at each place (profile, slice,
datatype, extension) and asks of them what may not be. It reads snapshots by itself, with no code of the validator.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets

_BASE = "http://hl7.org/fhir/StructureDefinition/"
#: Where a value stands: the steps from the resource on.
Way = tuple[str | int, ...]
#: A definition of an element, with the StructureDefinition that it is in.
Placed = tuple[dict[str, Any], dict[str, Any]]

#: What isn't a value of each primitive type.
BAD_SYNTAX: dict[str, Any] = {
    "date": "2023-13-01", "dateTime": "2023-01-01T10:00:00", "instant": "2023-01-01", "time": "24:00:00",
    "code": "a  b", "id": "a_b", "uri": "a b", "url": "a b", "canonical": "a b", "oid": "1.2", "uuid": "1",
    "base64Binary": "a&b", "integer": 2**31, "positiveInt": 0, "unsignedInt": -1, "string": "\x01", "markdown": " ",
    "boolean": "true", "decimal": "1", "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>',
}  # fmt: skip
#: A value of types that elements are often limited from.
SAMPLES: dict[str, Any] = {
    "string": "x", "boolean": True, "dateTime": "2020", "Period": {"start": "2020"}, "Quantity": {"value": 1},
    "CodeableConcept": {"text": "x"}, "Reference": {"display": "x"}, "integer": 1, "code": "x", "uri": "http://a.b",
    "Identifier": {"value": "x"}, "HumanName": {"text": "x"}, "ContactPoint": {"value": "x", "system": "phone"},
    "Address": {"text": "x"}, "Coding": {"display": "x"}, "Attachment": {"title": "x"}, "decimal": 1,
    "Extension": {"url": "http://example.org/x", "valueCode": "x"}, "date": "2020", "Annotation": {"text": "x"}, "positiveInt": 1, "Age": {"value": 1, "unit": "a"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A resource with one defect: its kind, and where it must be reported (one of ``exact``, or below ``place``)."""

    kind: str
    place: str
    exact: frozenset[str]
    resource: dict[str, Any] = field(repr=False)

    def is_reported_at(self, expression: str) -> bool:
        """Tell whether an issue's expression is a right place for the defect."""
        path = plain(expression)
        return path in self.exact or path == self.place or path.startswith((self.place + ".", self.place + "["))


def plain(expression: str) -> str:
    """Return a FHIRPath with the JSON names of choices."""
    head, *rest = expression.split(".ofType(")
    for part in rest:
        name, _, tail = part.partition(")")
        head += name[:1].upper() + name[1:] + tail
    return head


def _shown(type_: str, way: Way) -> str:
    text = type_
    for step in way:
        text += f"[{step}]" if isinstance(step, int) else f".{step.removeprefix('_')}"
    return text


def _at(resource: Any, way: Way) -> Any:
    for step in way:
        resource = resource[step]
    return resource


def _facet(definition: dict[str, Any], prefix: str) -> Any:
    return next((v for k, v in definition.items() if k.startswith(prefix) and k[len(prefix)].isupper()), None)


def _fits(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(k in value and _fits(value[k], p) for k, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(_fits(v, p) for v in value) for p in pattern)
    return bool(value == pattern)


def _below(value: Any, path: str) -> list[Any]:
    """Return the values at a path of names below a value."""
    found = [value]
    for name in path.split(".") if path else ():
        inner = [v[name] for v in found if isinstance(v, dict) and name in v]
        found = [x for v in inner for x in (v if isinstance(v, list) else [v])]
    return found


class Snapshots:
    """The snapshots of a set of definitions, asked by the ids of elements."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._code_sets = CodeSets(definitions)
        self.types = definitions.types
        self._children: dict[int, dict[str, dict[str, list[dict[str, Any]]]]] = {}
        self.structure = cache(definitions.structure)

    def root(self, url: str) -> Placed | None:
        """Return the root of a type or profile that has a snapshot."""
        structure = self.structure(url)
        if structure is None or not structure.get("snapshot", {}).get("element"):
            return None
        return structure["snapshot"]["element"][0], structure

    def children(self, placed: Placed) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]] | None:
        """Return the structure that describes an element's children, and these by name: first the element, then slices."""
        element, structure = placed
        known = self._children.get(id(structure))
        if known is None:
            known = self._children[id(structure)] = {}
            for definition in structure["snapshot"]["element"][1:]:
                above, _, last = definition["id"].rpartition(".")
                known.setdefault(above, {}).setdefault(last.partition(":")[0], []).append(definition)
        own = known.get(element["id"])
        if own is not None:
            return structure, own
        if "contentReference" in element:
            id_ = element["contentReference"].rpartition("#")[2]
            target = next((e for e in structure["snapshot"]["element"] if e["id"] == id_), None)
            return self.children((target, structure)) if target is not None else None
        roots = self.of_types(element)
        return self.children(roots[0]) if len(roots) == 1 and roots[0][0] is not element else None

    def of_types(self, element: dict[str, Any]) -> list[Placed]:
        """Return the root of the one type, or of the one profile on it, of an element."""
        types = element.get("type", [])
        if len(types) != 1 or "/System." in types[0]["code"] or "fhirpath" in types[0]["code"]:
            return []
        profiles = types[0].get("profile", [])
        root = self.root(profiles[0]) if len(profiles) == 1 and "_profile" not in types[0] else None
        root = root or self.root(types[0]["code"])
        return [root] if root is not None else []

    def targets(self, type_: dict[str, Any]) -> set[str] | None:
        """Return the resource types that a Reference may point to; None for any, or if they aren't known."""
        found = set()
        for url in type_.get("targetProfile", ()):
            structure = self.structure(url)
            if structure is None:
                return None
            found.add(structure["type"])
        return None if not found or found & {"Resource", "DomainResource"} else found

    def is_outside(self, value_set: str, system: str, code: str) -> bool:
        """Tell whether a code surely isn't in a value set."""
        members = self._code_sets.codes(value_set)
        return members is not None and bool(members.codes) and not members.has_concept(system, code)

    def extension_context(self, url: str) -> list[str] | None:
        """Return the expressions of an extension's contexts, None if one isn't an element's path."""
        structure = self.structure(url) if ":" in url else None
        contexts = structure.get("context", []) if structure is not None else []
        plain_ones = [c["expression"] for c in contexts if c["type"] == "element"]
        return plain_ones if plain_ones and len(plain_ones) == len(contexts) else None


class Breaker:
    """Walks one resource beside the definitions that hold for it, and yields mutants."""

    def __init__(self, snapshots: Snapshots, resource: dict[str, Any]) -> None:
        self._snapshots = snapshots
        self._resource = resource
        self._type: str = resource["resourceType"]
        self._done: set[tuple[str, str]] = set()
        #: The slices that hold the place that is looked at: way of the item, what tells it, whether it is needed.
        self._inside: list[tuple[Way, Callable[[Any], bool], bool]] = []

    def mutants(self, profiles: list[str]) -> Iterator[Mutant]:
        """Yield the mutants by these profiles and the base type."""
        for url in (*profiles, self._type):
            root = self._snapshots.root(url)
            if root is not None:
                yield from self._object(self._resource, (), [root], self._type)

    def _mutant(
        self, kind: str, way: Way, change: Callable[[Any], object], holder: Way, exact: tuple[Way, ...] = (),
        *, is_by_profile: bool = False,
    ) -> Iterator[Mutant]:  # fmt: skip
        """Yield a mutant, once for each kind and place; ``change`` gets the object at ``holder``.

        What is wrong only by the profile is no defect if it takes an item out of a slice, unless the slice is needed.
        """
        place = _shown(self._type, way)
        if (kind, place) in self._done:
            return
        self._done.add((kind, place))
        mutated = copy.deepcopy(self._resource)
        change(_at(mutated, holder))
        for item, tells, is_needed in self._inside if is_by_profile else ():
            if not tells(_at(mutated, item)):
                if not is_needed:
                    return
                exact = (*exact, item[:-1], item[:-2])
        yield Mutant(kind, place, frozenset(_shown(self._type, e) for e in exact), mutated)

    def _object(self, node: dict[str, Any], way: Way, described: list[Placed], type_name: str) -> Iterator[Mutant]:
        yield from self._mutant("unknown property", (*way, "zzz"), lambda n: n.update(zzz="x"), way, (way,))
        for placed in described:
            found = self._snapshots.children(placed)
            if found is None:
                continue
            structure, children = found
            for name, definitions in children.items():
                stem = name.removesuffix("[x]")
                keys = [k for k in node if k == stem or (name != stem and k.startswith(stem) and k[len(stem)].isupper())]
                if keys:
                    yield from self._property(node, way, keys[0], definitions, structure)
                elif definitions[0].get("max") == "0" and not any(d.get("sliceName") for d in definitions):
                    yield from self._prohibited(way, stem, type_name)

    def _prohibited(self, way: Way, name: str, type_name: str) -> Iterator[Mutant]:
        info = self._snapshots.types.type(type_name)
        model = info.elements.get(name) if info is not None else None
        for key, type_ in model.json_keys().items() if model is not None else ():
            if type_ in SAMPLES:
                value = [SAMPLES[type_]] if model is not None and model.is_list else SAMPLES[type_]
                yield from self._mutant(
                    "element with max 0", (*way, key), lambda n, k=key, v=value: n.update({k: v}), way, ((*way, name),)
                )
                return

    def _property(
        self, node: dict[str, Any], way: Way, key: str, definitions: list[dict[str, Any]], structure: dict[str, Any]
    ) -> Iterator[Mutant]:
        element, *slices = definitions
        value, here = node[key], (*way, key)
        name = element["path"].rpartition(".")[2].removesuffix("[x]")
        if element.get("min", 0) > 0 and f"_{key}" not in node:
            yield from self._mutant("required element removed", here, lambda n: n.pop(key), way, (way, (*way, name)), is_by_profile=True)
        yield from self._form(value, here, key, way)
        if element["path"].endswith("[x]"):
            slices = [s for s in slices if s["sliceName"] == key or self._key(element, s) == key]
            yield from self._choice(node, way, key, element)
            yield from self._value(value, here, [element, *slices], structure, key)
            return
        if not isinstance(value, list):
            yield from self._value(value, here, definitions[:1], structure, key)
            return
        maximum = element.get("max", "*")
        if maximum != "*" and all(value):
            more = int(maximum) + 1 - len(value)
            yield from self._mutant("more than max", here, lambda n: n[key].extend([n[key][-1]] * more), way)
        slicing = element.get("slicing", {})
        members: dict[str, list[int]] = {}
        for index, item in enumerate(value):
            mine = [s for s in slices if self._belongs(item, element, s, structure)]
            for slice_ in mine:
                members.setdefault(slice_["id"], []).append(index)
        for index, item in enumerate(value):
            mine = [s for s in slices if index in members.get(s["id"], ())]
            outside = len(self._inside)
            for slice_ in mine:
                is_needed = slice_.get("min", 0) >= len(members[slice_["id"]])
                tells = partial(self._belongs, element=element, slice_=slice_, structure=structure)
                self._inside.append(((*here, index), tells, is_needed))
            if item is not None:
                yield from self._value(item, (*here, index), [element, *mine], structure, key)
            del self._inside[outside:]
        for slice_ in slices:
            yield from self._sliced(slice_, members.get(slice_["id"], []), value, here, way)
        if slicing.get("rules") == "closed" and members and element["type"][0]["code"] == "CodeableConcept":
            yield from self._mutant("item in no slice", here, lambda n: n[key].append({"text": "zzz"}), way)

    @staticmethod
    def _key(element: dict[str, Any], slice_: dict[str, Any]) -> str:
        codes = [t["code"] for t in slice_.get("type", [])]
        name = str(element["path"].rpartition(".")[2]).removesuffix("[x]")
        return name + codes[0][0].upper() + codes[0][1:] if len(codes) == 1 else ""

    def _belongs(self, item: Any, element: dict[str, Any], slice_: dict[str, Any], structure: dict[str, Any]) -> bool:
        """Tell whether an item surely belongs to a slice, by fixed values and patterns at the discriminators."""
        types = slice_.get("type", [{}])
        if types[0].get("code") == "Extension" and types[0].get("profile"):
            return isinstance(item, dict) and item.get("url") == types[0]["profile"][0].partition("|")[0]
        paths = [d["path"] for d in element.get("slicing", {}).get("discriminator", ()) if d["type"] in {"value", "pattern"}]
        if not paths:
            return False
        wanted = []
        for definition in structure["snapshot"]["element"]:
            id_ = definition["id"]
            if id_ != slice_["id"] and not id_.startswith(slice_["id"] + "."):
                continue
            path = id_[len(slice_["id"]) + 1 :]
            expected = _facet(definition, "fixed") or _facet(definition, "pattern")
            if expected is None or ":" in path:
                continue
            if any(p == "$this" or path == p or path.startswith(p + ".") or p.startswith(path) for p in paths):
                wanted.append((path, expected))
        return bool(wanted) and all(any(_fits(v, e) for v in _below(item, p)) for p, e in wanted)

    def _sliced(
        self, slice_: dict[str, Any], indexes: list[int], value: list[Any], here: Way, way: Way
    ) -> Iterator[Mutant]:
        key, name = here[-1], slice_["sliceName"]
        maximum = slice_.get("max", "*")
        if not indexes:
            return
        if slice_.get("min", 0) >= len(indexes):
            if len(value) == 1:
                yield from self._mutant(f"slice removed ({name})", here, lambda n: n.pop(key), way, (way,))
            else:
                yield from self._mutant(f"slice removed ({name})", here, lambda n: n[key].pop(indexes[0]), way)
        if maximum not in {"*", "0"}:
            more = int(maximum) + 1 - len(indexes)
            copies = [value[indexes[0]]] * more
            yield from self._mutant(f"slice repeated ({name})", here, lambda n: n[key].extend(copies), way)

    def _form(self, value: Any, here: Way, key: str, way: Way) -> Iterator[Mutant]:
        """Yield what is wrong for any element."""
        wrong: dict[str, Any] = {"null": None, "empty array": [], "empty object": [{}] if isinstance(value, list) else {}}
        if isinstance(value, list):
            wrong["single value for an array"] = value[0]
            wrong["array in an array"] = [value]
        else:
            wrong["array for a single value"] = [value]
        exact = ((*here, 0),)
        for kind, bad in wrong.items():
            yield from self._mutant(kind, here, lambda n, b=bad: n.update({key: b}), way, exact)

    def _choice(self, node: dict[str, Any], way: Way, key: str, element: dict[str, Any]) -> Iterator[Mutant]:
        stem = element["path"].rpartition(".")[2].removesuffix("[x]")
        allowed = {t["code"] for t in element.get("type", [])}
        exact = ((*way, stem), way)
        for type_ in ("boolean", "string", "CodeableConcept", "Attachment", "Period"):
            other = stem + type_[0].upper() + type_[1:]
            if type_ not in allowed:
                def change(n: Any, other: str = other, type_: str = type_) -> None:
                    del n[key]
                    n.pop(f"_{key}", None)
                    n[other] = SAMPLES[type_]

                yield from self._mutant("choice of another type", (*way, other), change, way, exact)
                break
        second = next((t for t in ("string", "dateTime", "boolean", "Period") if t in allowed and stem + t[0].upper() + t[1:] != key), "")
        if second:
            other = stem + second[0].upper() + second[1:]
            yield from self._mutant(
                "two values of a choice", here_of(way, key), lambda n: n.update({other: SAMPLES[second]}), way,
                (*exact, (*way, other)),
            )  # fmt: skip

    def _value(self, value: Any, here: Way, definitions: list[dict[str, Any]], structure: dict[str, Any], key: str) -> Iterator[Mutant]:
        """Yield the mutants of one value."""
        *above, last = here
        holder = tuple(above)

        def put(bad: Any) -> Callable[[Any], object]:
            return lambda n: n.__setitem__(last, bad)

        yield from self._mutant("wrong JSON type", here, put({"x": 1} if not isinstance(value, dict) else 7), holder)
        for definition in definitions:
            yield from self._of_definition(value, here, definition, put, holder, key)
        if isinstance(value, dict):
            described = [(d, structure) for d in definitions]
            if "resourceType" in value:
                described = [r for u in claimed(value) if (r := self._snapshots.root(u))]
            elif definitions[0]["path"].endswith("[x]"):
                described = self._of_choice(key, definitions, structure)
            name = value.get("resourceType") or self._type_name(definitions[0], described)
            if definitions[0].get("type", [{}])[0].get("code") == "Extension":
                yield from self._extension(value, here, definitions[0], holder)
                known = self._snapshots.root(value["url"]) if ":" in value.get("url", "") else None
                described += [known] if known is not None else []
            yield from self._object(value, here, described, name)

    def _of_choice(self, key: str, definitions: list[dict[str, Any]], structure: dict[str, Any]) -> list[Placed]:
        found: list[Placed] = []
        for definition in definitions:
            stem = definition["path"].rpartition(".")[2].removesuffix("[x]")
            types = [t for t in definition.get("type", []) if t["code"].lower() == key[len(stem) :].lower()]
            narrowed = {**definition, "type": types}
            found.append((narrowed, structure))
        return found

    def _type_name(self, definition: dict[str, Any], described: list[Placed]) -> str:
        types = described[0][0].get("type", []) if described else []
        code = types[0]["code"] if len(types) == 1 else ""
        return str(definition["path"]) if code in {"BackboneElement", "Element"} else code

    def _of_definition(
        self, value: Any, here: Way, definition: dict[str, Any], put: Callable[[Any], Callable[[Any], object]],
        holder: Way, key: str,
    ) -> Iterator[Mutant]:  # fmt: skip
        """Yield what one element definition makes invalid."""
        list_place: Way = holder if isinstance(here[-1], int) else here
        exact = (list_place, *((holder[:-1],) if isinstance(here[-1], int) else (holder,)))
        types = definition.get("type", [])
        if definition["path"].endswith("[x]"):
            stem = definition["path"].rpartition(".")[2].removesuffix("[x]")
            types = [t for t in types if t["code"].lower() == key[len(stem) :].lower()]
        code = types[0]["code"] if len(types) == 1 else ""
        if code in BAD_SYNTAX:
            yield from self._mutant(f"not a {code}", here, put(BAD_SYNTAX[code]), holder)
        if code in {"date", "dateTime"}:
            yield from self._mutant("impossible date", here, put("2023-02-31"), holder)
        if isinstance(value, str):
            yield from self._mutant("empty string", here, put(""), holder)
        if "maxLength" in definition:
            yield from self._mutant("too long", here, put("x" * (definition["maxLength"] + 1)), holder)
        expected = _facet(definition, "fixed") or _facet(definition, "pattern")
        if expected is not None and definition["id"] != "Extension.url":
            for kind, bad in _others(value, expected):
                yield from self._mutant(f"{kind} fixed or pattern value", here, put(bad), holder, exact, is_by_profile=True)
        if code == "Reference":
            targets = self._snapshots.targets(types[0])
            wrong = next((t for t in ("Substance", "Appointment", "Flag") if targets is not None and t not in targets), None)
            if wrong is not None and isinstance(value, dict) and "reference" in value:
                bad = {"reference": f"{wrong}/1"}
                yield from self._mutant("reference to a wrong type", here, put(bad), holder, is_by_profile=True)
        yield from self._bound(value, here, definition, code, put, holder)
        if code in {"Period"}:
            bad = {"start": "2024-01-02", "end": "2024-01-01"}
            yield from self._mutant("period ends before it starts", here, put(bad), holder)

    def _bound(
        self, value: Any, here: Way, definition: dict[str, Any], code: str,
        put: Callable[[Any], Callable[[Any], object]], holder: Way,
    ) -> Iterator[Mutant]:  # fmt: skip
        binding = definition.get("binding", {})
        if binding.get("strength") != "required" or "valueSet" not in binding:
            return
        coding = value if code == "Coding" else (value.get("coding") or [None])[0] if code == "CodeableConcept" else None
        system = coding.get("system", "") if isinstance(coding, dict) else ""
        if not self._snapshots.is_outside(binding["valueSet"], system, "zzz"):
            return
        if code == "code":
            yield from self._mutant("code outside its value set", here, put("zzz"), holder, is_by_profile=True)
        elif isinstance(coding, dict):
            wrong = {"system": system, "code": "zzz"} if system else {"code": "zzz"}
            bad = wrong if code == "Coding" else {"coding": [wrong]}
            yield from self._mutant("code outside its value set", here, put(bad), holder, is_by_profile=True)

    def _extension(self, value: dict[str, Any], here: Way, definition: dict[str, Any], holder: Way) -> Iterator[Mutant]:
        url = value.get("url", "")
        keys = [k for k in value if k.startswith("value")]

        def both(n: Any) -> None:
            n[here[-1]]["extension"] = [{"url": "x", "valueCode": "x"}]

        if keys:
            yield from self._mutant("extension with value and extensions", here, both, holder)
        contexts = self._snapshots.extension_context(url)
        if contexts is None or set(contexts) & {"Element", "Resource", "DomainResource", "Meta", self._type, "Extension"}:
            return
        if self._snapshots.root(url) is not None:
            yield from self._mutant(
                "extension outside its context", ("extension",),
                lambda r: r.setdefault("extension", []).append(copy.deepcopy(value)), (),
            )  # fmt: skip


def here_of(way: Way, key: str) -> Way:
    """Return the way to a property."""
    return (*way, key)


def _others(value: Any, expected: Any) -> Iterator[tuple[str, Any]]:
    """Yield values that aren't the fixed one and don't fit the pattern."""
    if isinstance(expected, str) and isinstance(value, str):
        yield "another", value + "x"
    elif isinstance(expected, dict) and isinstance(value, dict):
        for name in expected:
            rest = {k: v for k, v in value.items() if k != name}
            if rest:
                yield f"without {name} of the", rest


def claimed(resource: dict[str, Any]) -> list[str]:
    """Return the profiles that a resource claims, and its base type."""
    return [*resource.get("meta", {}).get("profile", ()), resource["resourceType"]]


def mutants(definitions: Definitions, resource: dict[str, Any], snapshots: Snapshots | None = None) -> Iterator[Mutant]:
    """Yield the mutants of a valid resource, by the profiles that it claims."""
    breaker = Breaker(snapshots or Snapshots(definitions), resource)
    yield from breaker.mutants(claimed(resource)[:-1])
