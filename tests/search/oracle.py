"""R4's rules of matching a second time: slow, plain, over the resources themselves, sharing no code with the engine.

What a parameter means comes from its SearchParameter by FHIRPath; whether a value matches is decided here. A ``World``
holds all resources; chains and ``_has`` look at each of them. https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import math
from fractions import Fraction

from fhir_server.fhirpath import compile_extraction
from tests.search.test_oracle import FIRST, GRAMS, LAST, UCUM, half_unit, in_range, plain, span

#: The codes' systems that required bindings imply, by the parameter.
SYSTEMS = {
    "gender": "http://hl7.org/fhir/administrative-gender",
    "status": {
        "Observation": "http://hl7.org/fhir/observation-status",
        "Encounter": "http://hl7.org/fhir/encounter-status",
    },
}
#: Parameters of names and addresses: each word may begin a match.
WORDWISE = {"family", "given", "address-city", "address-postalcode"}
NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")
CONTACTS = {"phone", "email"}


class World:
    """All resources of a test by ``Type/id``, on a server with this base URL."""

    def __init__(self, definitions, base):
        self.base = base
        self.types = definitions.types
        self.resources = {}
        self.parameters = {}
        for parameter in definitions.search_parameters():
            for type_ in parameter.get("base", ()):
                if not parameter["url"].endswith("/example"):
                    self.parameters.setdefault((type_, parameter["code"]), parameter)
        self._extractions = {}

    def add(self, resource):
        self.resources[f"{resource['resourceType']}/{resource['id']}"] = resource

    def parameter(self, type_, name):
        return next(p for t in (type_, "DomainResource", "Resource") if (p := self.parameters.get((t, name))))

    def values(self, resource, name):
        """The (FHIR type, value) pairs of a parameter."""
        key = resource["resourceType"], name
        if key not in self._extractions:
            expression = self.parameter(*key)["expression"]
            self._extractions[key] = compile_extraction(expression, key[0], self.types)
        return self._extractions[key](resource)

    def search(self, type_, pairs):
        """The ids of the matches of pairs (name, value)."""
        return {
            resource["id"]
            for resource in self.resources.values()
            if resource["resourceType"] == type_ and all(self.matches(resource, *pair) for pair in pairs)
        }

    def matches(self, resource, name, value):
        """Whether a resource matches one pair, whose value may be a list with commas."""
        if name.startswith("_has:"):
            _, type_, reference, rest = name.split(":", 3)
            return any(
                other["resourceType"] == type_
                and resource in self.targets(other, reference)
                and self.matches(other, rest, value)
                for other in self.resources.values()
            )
        if "." in name:
            head, rest = name.split(".", 1)
            reference, _, type_ = head.partition(":")
            return any(
                self.knows(target, rest) and self.matches(target, rest, value)
                for target in self.targets(resource, reference)
                if type_ in {"", target["resourceType"]}
            )
        name, _, modifier = name.partition(":")
        texts = value.split(",")
        if modifier == "not":
            return not self.matches(resource, name, value)
        if modifier == "missing":
            return any((text == "true") != self.is_there(resource, name) for text in texts)
        return any(self.is_match(resource, name, modifier, text) for text in texts)

    def knows(self, resource, path):
        name = path.partition(".")[0].partition(":")[0]
        return (
            any((t, name) in self.parameters for t in (resource["resourceType"], "Resource"))
            or name == "_has"
        )

    def targets(self, resource, name):
        """The resources that a reference parameter leads to, contained ones included."""
        wanted = self.parameter(resource["resourceType"], name).get("target", ())
        found = []
        for type_, value in self.values(resource, name):
            if type_ == "canonical":
                url, _, version = value.partition("|")
                found += [
                    one
                    for one in self.resources.values()
                    if one.get("url") == url and version in {"", one.get("version")}
                ]
                continue
            reference = self.local(value.get("reference", ""))
            if reference.startswith("#"):
                found += [one for one in resource.get("contained", ()) if f"#{one['id']}" == reference]
            elif reference in self.resources:
                found.append(self.resources[reference])
        return [one for one in found if one["resourceType"] in wanted]

    def local(self, reference):
        return reference.removeprefix(self.base + "/").partition("/_history/")[0]

    def is_there(self, resource, name):
        if name in CONTACTS:
            return any(one["system"] == name for one in resource.get("telecom", ()))
        return bool(self.values(resource, name))

    def is_match(self, resource, name, modifier, text):
        if name == "_id":
            return resource["id"] == text
        kind = self.parameter(resource["resourceType"], name)["type"]
        found = self.values(resource, name)
        if kind == "reference" and any(type_ == "canonical" for type_, _ in found):
            kind = "canonical"
        return any(
            getattr(self, f"_{kind}")((resource, name), type_, value, modifier, text)
            for type_, value in found
        )

    def _string(self, place, type_, value, modifier, text):
        parts = {"HumanName": NAME_PARTS, "Address": ADDRESS_PARTS}.get(type_)
        texts = [value]
        if parts:
            texts = [value[part] for part in parts if part in value]
            texts = [t for one in texts for t in (one if isinstance(one, list) else [one])]
        for one in texts:
            if modifier == "exact":
                found = one == text
            elif modifier == "contains":
                found = plain(text) in plain(one)
            else:
                words = plain(one).split(" ") if parts or place[1] in WORDWISE else [plain(one)]
                found = any(" ".join(words[n:]).startswith(plain(text)) for n in range(len(words)))
            if found:
                return True
        return False

    def _token(self, place, type_, value, modifier, text):
        if modifier == "text":
            shown = [value.get("text", ""), *(c.get("display", "") for c in value.get("coding", ()))]
            return any(f" {plain(text)}" in f" {plain(one)}" for one in shown if one)
        if modifier == "of-type":
            system, code, wanted = text.split("|")
            codings = value.get("type", {}).get("coding", ())
            return value.get("value") == wanted and {"system": system, "code": code} in codings
        if type_ == "ContactPoint":
            name = place[1]
            system, bar, wanted = text.rpartition("|")
            system = system if bar else name if name in CONTACTS else value["system"]
            return value["system"] == system and contact(value["value"], system) == contact(wanted, system)
        system, bar, code = text.rpartition("|")
        for own_system, own_code, is_exact in self.codes(place, type_, value):
            if bar and own_system != system:
                continue
            if not code or own_code == code or (not is_exact and own_code.lower() == code.lower()):
                return True
        return False

    def codes(self, place, type_, value):
        resource, name = place
        if type_ == "CodeableConcept":
            return [(c.get("system", ""), c.get("code", ""), False) for c in value.get("coding", ())]
        if type_ == "Coding":
            return [(value.get("system", ""), value.get("code", ""), False)]
        if type_ == "Identifier":
            return [(value.get("system", ""), value["value"], True)]
        if type_ == "boolean":
            return [("", str(value).lower(), True)]
        system = SYSTEMS.get(name, "")
        if isinstance(system, dict):
            system = system.get(resource["resourceType"], "?")
        return [(system, value, True)]

    def _reference(self, place, type_, value, modifier, text):
        if modifier == "identifier":
            identifier = value.get("identifier", {})
            system, bar, wanted = text.rpartition("|")
            return (
                bool(identifier)
                and identifier["value"] == wanted
                and (not bar or identifier["system"] == system)
            )
        own, wanted = self.local(value.get("reference", "")), self.local(text)
        resource, name = place
        targets = self.parameter(resource["resourceType"], name)["target"]
        if "://" in wanted or wanted.startswith("urn:"):
            return own == wanted
        if "/" not in wanted:
            return own in {f"{target}/{wanted}" for target in ([modifier] if modifier else targets)}
        return (
            own == wanted
            and wanted.partition("/")[0] in targets
            and modifier in {"", wanted.partition("/")[0]}
        )

    def _canonical(self, place, type_, value, modifier, text):
        url, _, version = value.partition("|")
        wanted_url, bar, wanted = text.partition("|")
        if modifier == "below":
            if bar:
                return url == wanted_url and (version == wanted or version.startswith(f"{wanted}."))
            return url.startswith(wanted_url)
        return url == wanted_url and (not bar or version == wanted)

    def _uri(self, place, type_, value, modifier, text):
        if modifier == "below":
            return value.startswith(text)
        if modifier == "above":
            return text == value or text.startswith(value.rstrip("/") + "/")
        return value == text

    def _date(self, place, type_, value, modifier, text):
        prefix, text = prefixed(text)
        a, b = span(text)
        low, high = spans(type_, value)
        if low is None:
            return False
        equal = low >= a and high <= b
        return {
            "eq": equal, "ne": not equal, "gt": high > b, "lt": low < a, "ge": high > b or equal,
            "le": low < a or equal, "sa": low > b, "eb": high < a,
        }[prefix]  # fmt: skip

    def _number(self, place, type_, value, modifier, text):
        prefix, number = prefixed(text)
        low = high = value
        if type_ == "Range":
            low, high = (value.get(end, {}).get("value") for end in ("low", "high"))
        low, high = (None if end is None else Fraction(str(end)) for end in (low, high))
        return in_range(prefix, low, high, Fraction(number), half_unit(number))

    def _quantity(self, place, type_, value, modifier, text):
        number, *rest = text.split("|")
        prefix, number = prefixed(number)
        system, code = [*rest, "", ""][:2]
        wanted, half = Fraction(number), half_unit(number)
        named = value if type_ != "Range" else value.get("low") or value["high"]
        factor = Fraction(1)
        if system and code:
            own_code = named.get("code")
            if named.get("system") != system:
                return False
            if system == UCUM and code in GRAMS and own_code in GRAMS:
                wanted, half, factor = wanted * GRAMS[code], half * GRAMS[code], GRAMS[own_code]
            elif own_code != code:
                return False
        elif code and code not in {named.get("code"), named.get("unit")}:
            return False
        ends = [value.get("low", {}).get("value"), value.get("high", {}).get("value")]
        if type_ != "Range":
            comparator = value.get("comparator", "")
            ends = [
                None if "<" in comparator else value["value"],
                None if ">" in comparator else value["value"],
            ]
        low, high = (None if end is None else Fraction(str(end)) * factor for end in ends)
        return in_range(prefix, low, high, wanted, half)

    def _composite(self, place, type_, value, modifier, text):
        """The composites of a code and a quantity, on an Observation or a component."""
        code, number = text.split("$")
        return self._token(place, "CodeableConcept", value.get("code", {}), "", code) and (
            "valueQuantity" in value and self._quantity(place, "Quantity", value["valueQuantity"], "", number)
        )

    def _special(self, place, type_, value, modifier, text):
        latitude, longitude, distance, _ = text.split("|")
        here = (math.radians(float(latitude)), math.radians(float(longitude)))
        there = (math.radians(float(value["latitude"])), math.radians(float(value["longitude"])))
        cosine = math.sin(here[0]) * math.sin(there[0])
        cosine += math.cos(here[0]) * math.cos(there[0]) * math.cos(here[1] - there[1])
        return 6378.1 * math.acos(max(-1, min(1, cosine))) <= float(distance)

    def order(self, resource, name, *, descending):
        """What a resource is sorted by, None when it has no value."""
        keys = []
        for type_, value in self.values(resource, name):
            if type_ in {"date", "dateTime", "Period", "Timing"}:
                low, high = spans(type_, value)
                keys.append(high if descending else low)
            elif type_ == "string":
                keys.append(plain(value))
            else:
                keys.append(value)
        return (max if descending else min)(keys) if keys else None


def prefixed(text):
    return (text[:2], text[2:]) if text[:1].isalpha() else ("eq", text)


def contact(value, system):
    return "".join(c for c in value if c.isalnum() or c == "+") if system == "phone" else value.lower()


def spans(type_, value):
    """First and last moment of a value; (None, None) when it has none."""
    if type_ == "Timing":
        periods = [("dateTime", event) for event in value.get("event", ())]
        bounds = value.get("repeat", {}).get("boundsPeriod")
        found = [spans(*one) for one in [*periods, *([("Period", bounds)] if bounds else [])]]
        return (min(low for low, _ in found), max(high for _, high in found)) if found else (None, None)
    if type_ == "Period":
        if not value:
            return None, None
        low = span(value["start"])[0] if "start" in value else FIRST
        return low, span(value["end"])[1] if "end" in value else LAST
    return span(value)
