"""Resources with one defect each, made from valid ones by what the published snapshots say of every element.

Only what the specification makes invalid is made: the walk knows the definitions that hold at each place (profile,
slice, datatype, extension) and asks of them what may not be. It uses no code of the validator.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.mutant import BAD_SYNTAX, SAMPLES, Mutant, Way, at, below, claimed, facet, fits, others, shown
from benchmarks.snapshots import Placed, Snapshots


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

        What only a profile forbids is no defect if it takes an item out of a slice, unless the slice is needed.
        """
        place = shown(self._type, way)
        if (kind, place) in self._done:
            return
        self._done.add((kind, place))
        mutated = copy.deepcopy(self._resource)
        change(at(mutated, holder))
        for item, tells, is_needed in self._inside if is_by_profile else ():
            if not tells(at(mutated, item)):
                if not is_needed:
                    return
                exact = (*exact, item[:-1], item[:-2])
        yield Mutant(kind, place, frozenset(shown(self._type, e) for e in exact), mutated)

    def _object(
        self, node: dict[str, Any], way: Way, described: list[Placed], type_name: str
    ) -> Iterator[Mutant]:
        yield from self._mutant("unknown property", (*way, "zzz"), lambda n: n.update(zzz="x"), way, (way,))
        for placed in described:
            found = self._snapshots.children(placed)
            if found is None:
                continue
            structure, children = found
            for name, definitions in children.items():
                stem = name.removesuffix("[x]")
                keys = [
                    k
                    for k in node
                    if k == stem or (name != stem and k.startswith(stem) and k[len(stem)].isupper())
                ]
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
                    "element with max 0",
                    (*way, key),
                    lambda n, k=key, v=value: n.update({k: v}),
                    way,
                    ((*way, name),),
                )
                return

    def _property(
        self,
        node: dict[str, Any],
        way: Way,
        key: str,
        definitions: list[dict[str, Any]],
        structure: dict[str, Any],
    ) -> Iterator[Mutant]:
        element, *slices = definitions
        value, here = node[key], (*way, key)
        name = element["path"].rpartition(".")[2].removesuffix("[x]")
        if element.get("min", 0) > 0 and f"_{key}" not in node:
            yield from self._mutant(
                "required element removed",
                here,
                lambda n: n.pop(key),
                way,
                (way, (*way, name)),
                is_by_profile=True,
            )
        yield from self._form(value, here, key, way)
        if element["path"].endswith("[x]"):
            slices = [s for s in slices if s["sliceName"] == key or self._key(element, s) == key]
            yield from self._choice(way, key, element)
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

    def _belongs(
        self, item: Any, element: dict[str, Any], slice_: dict[str, Any], structure: dict[str, Any]
    ) -> bool:
        """Tell whether an item surely belongs to a slice, by fixed values and patterns at the discriminators."""
        types = slice_.get("type", [{}])
        if types[0].get("code") == "Extension" and types[0].get("profile"):
            return isinstance(item, dict) and item.get("url") == types[0]["profile"][0].partition("|")[0]
        paths = [
            d["path"]
            for d in element.get("slicing", {}).get("discriminator", ())
            if d["type"] in {"value", "pattern"}
        ]
        if not paths:
            return False
        wanted = []
        for definition in structure["snapshot"]["element"]:
            id_ = definition["id"]
            if id_ != slice_["id"] and not id_.startswith(slice_["id"] + "."):
                continue
            path = id_[len(slice_["id"]) + 1 :]
            expected = facet(definition, "fixed") or facet(definition, "pattern")
            if expected is None or ":" in path:
                continue
            if any(p in {"$this", path} or path.startswith(p + ".") or p.startswith(path) for p in paths):
                wanted.append((path, expected))
        return bool(wanted) and all(any(fits(v, e) for v in below(item, p)) for p, e in wanted)

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
                yield from self._mutant(
                    f"slice removed ({name})", here, lambda n: n[key].pop(indexes[0]), way
                )
        if maximum not in {"*", "0"}:
            more = int(maximum) + 1 - len(indexes)
            copies = [value[indexes[0]]] * more
            yield from self._mutant(f"slice repeated ({name})", here, lambda n: n[key].extend(copies), way)

    def _form(self, value: Any, here: Way, key: str, way: Way) -> Iterator[Mutant]:
        """Yield what is wrong for any element."""
        wrong: dict[str, Any] = {
            "null": None,
            "empty array": [],
            "empty object": [{}] if isinstance(value, list) else {},
        }
        if isinstance(value, list):
            wrong["single value for an array"] = value[0]
            wrong["array in an array"] = [value]
        else:
            wrong["array for a single value"] = [value]
        exact = ((*here, 0),)
        for kind, bad in wrong.items():
            yield from self._mutant(kind, here, lambda n, b=bad: n.update({key: b}), way, exact)

    def _choice(self, way: Way, key: str, element: dict[str, Any]) -> Iterator[Mutant]:
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
        second = next(
            (
                t
                for t in ("string", "dateTime", "boolean", "Period")
                if t in allowed and stem + t[0].upper() + t[1:] != key
            ),
            "",
        )
        if second:
            other = stem + second[0].upper() + second[1:]
            yield from self._mutant(
                "two values of a choice", (*way, key), lambda n: n.update({other: SAMPLES[second]}), way,
                (*exact, (*way, other)),
            )  # fmt: skip

    def _value(
        self, value: Any, here: Way, definitions: list[dict[str, Any]], structure: dict[str, Any], key: str
    ) -> Iterator[Mutant]:
        """Yield the mutants of one value."""
        *above, last = here
        holder = tuple(above)

        def put(bad: Any) -> Callable[[Any], object]:
            return lambda n: n.__setitem__(last, bad)

        yield from self._mutant(
            "wrong JSON type", here, put({"x": 1} if not isinstance(value, dict) else 7), holder
        )
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
                yield from self._extension(value, here, holder)
                known = self._snapshots.root(value["url"]) if ":" in value.get("url", "") else None
                described += [known] if known is not None else []
            yield from self._object(value, here, described, name)

    def _of_choice(
        self, key: str, definitions: list[dict[str, Any]], structure: dict[str, Any]
    ) -> list[Placed]:
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

    def _of_definition(  # noqa: PLR0917 - what is known of a place
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
        expected = facet(definition, "fixed") or facet(definition, "pattern")
        if expected is not None and definition["id"] != "Extension.url":
            for kind, bad in others(value, expected):
                yield from self._mutant(
                    f"{kind} fixed or pattern value", here, put(bad), holder, exact, is_by_profile=True
                )
        if code == "Reference":
            targets = self._snapshots.targets(types[0])
            wrong = next(
                (t for t in ("Substance", "Appointment", "Flag") if targets is not None and t not in targets),
                None,
            )
            if wrong is not None and isinstance(value, dict) and "reference" in value:
                bad = {"reference": f"{wrong}/1"}
                yield from self._mutant(
                    "reference to a wrong type", here, put(bad), holder, is_by_profile=True
                )
        yield from self._bound(value, here, definition, code, put, holder)
        if code == "Period":
            bad = {"start": "2024-01-02", "end": "2024-01-01"}
            yield from self._mutant("period ends before it starts", here, put(bad), holder)

    def _bound(  # noqa: PLR0917 - what is known of a place
        self, value: Any, here: Way, definition: dict[str, Any], code: str,
        put: Callable[[Any], Callable[[Any], object]], holder: Way,
    ) -> Iterator[Mutant]:  # fmt: skip
        binding = definition.get("binding", {})
        if binding.get("strength") != "required" or "valueSet" not in binding:
            return
        coding = (
            value
            if code == "Coding"
            else (value.get("coding") or [None])[0]
            if code == "CodeableConcept"
            else None
        )
        system = coding.get("system", "") if isinstance(coding, dict) else ""
        if not self._snapshots.is_outside(binding["valueSet"], system, "zzz"):
            return
        if code == "code":
            yield from self._mutant(
                "code outside its value set", here, put("zzz"), holder, is_by_profile=True
            )
        elif isinstance(coding, dict):
            wrong = {"system": system, "code": "zzz"} if system else {"code": "zzz"}
            bad = wrong if code == "Coding" else {"coding": [wrong]}
            yield from self._mutant("code outside its value set", here, put(bad), holder, is_by_profile=True)

    def _extension(self, value: dict[str, Any], here: Way, holder: Way) -> Iterator[Mutant]:
        url = value.get("url", "")
        keys = [k for k in value if k.startswith("value")]

        def both(n: Any) -> None:
            n[here[-1]]["extension"] = [{"url": "x", "valueCode": "x"}]

        if keys:
            yield from self._mutant("extension with value and extensions", here, both, holder)
        contexts = self._snapshots.extension_context(url)
        if contexts is None or set(contexts) & {
            "Element",
            "Resource",
            "DomainResource",
            "Meta",
            self._type,
            "Extension",
        }:
            return
        known = self._snapshots.types.type(self._type)
        if self._snapshots.root(url) is not None and known is not None and "extension" in known.elements:
            yield from self._mutant(
                "extension outside its context", ("extension",),
                lambda r: r.setdefault("extension", []).append(copy.deepcopy(value)), (),
            )  # fmt: skip


def mutants(resource: dict[str, Any], snapshots: Snapshots) -> Iterator[Mutant]:
    """Yield the mutants of a valid resource, by the profiles that it claims."""
    yield from Breaker(snapshots, resource).mutants(claimed(resource)[:-1])
