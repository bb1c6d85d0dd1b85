"""Token parameters: ``code|hash8(system)``, one entry per coding.

Case: codes of systems that are known to be case-sensitive, identifiers and ids stay as they are; other codes
and plain strings are folded on both sides (R4: "in doubt ... case-insensitive"). A code asked for without
system is looked for as written and folded. https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.combining import Never, Not, any_of
from fhir_server.search.expression import Document, Equal, Expression, Filter, Pattern, texts
from fhir_server.search.lexing import split, unescape
from fhir_server.search.lookups import Open, RelatedCodes, ValueSetCodes
from fhir_server.search.parameters.parameter_type import (
    Context,
    Converter,
    Output,
    ParameterType,
    each,
    missing,
    order_by,
)
from fhir_server.search.parameters.string import fold, literal
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

#: Types whose codes are never folded: a wrong match of an identity is worse than none.
_EXACT = frozenset({"Identifier", "id", "code", "boolean", "uri", "canonical"})
#: Types that have no system: a vertical bar in the query is refused.
_WITHOUT_SYSTEM = frozenset({"boolean", "uri", "canonical", "id"})
_CONTACT_SYSTEMS = ("phone", "fax", "email", "pager", "url", "sms", "other", "")
_CONTACT_PUNCTUATION = re.compile(r"[\s().\-/]+")
#: The code system of media types, whose codes have a hierarchy of their own.
_MEDIA_TYPES = "urn:ietf:bcp:13"
_CODED = frozenset({"CodeableConcept", "Coding", "code"})
_WITH_TEXT = frozenset({"CodeableConcept", "Coding", "Identifier"})


@lru_cache(maxsize=8192)
def hash_of(system: str) -> str:
    """Return the first 8 characters of the base64 of the system's SHA-256; "" for no system."""
    return b64encode(sha256(system.encode()).digest()[:6]).decode() if system else ""


@dataclass(frozen=True, slots=True)
class AnySystem(Expression):
    """A code whatever its system: an entry that is the code, a bar, and a hash or nothing."""

    field: str
    code: str

    @property
    def prefix(self) -> str:
        """The text that every match begins with."""
        return self.code

    def filter(self) -> Filter:
        """Return an anchored pattern; the code may hold a bar itself, a hash never does."""
        return {self.field: {"$regex": rf"^{literal(self.code)}\|[^\x7c]*$"}}

    def matches(self, document: Document) -> bool:
        """Tell whether an entry has the code."""
        return any(entry.rpartition("|")[0] == self.code for entry in texts(document, self.field))


@dataclass(frozen=True, slots=True)
class AnyCode(Expression):
    """Any code of a system."""

    field: str
    system_hash: str

    def filter(self) -> Filter:
        """Return the pattern of the entry's end: no index bounds, a residual condition."""
        return {self.field: {"$regex": rf"\|{literal(self.system_hash)}$"}}

    def matches(self, document: Document) -> bool:
        """Tell whether an entry is of the system."""
        return any(entry.rpartition("|")[2] == self.system_hash for entry in texts(document, self.field))


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:
    """Return the converter of a FHIR type to tokens."""
    if type_ in {"CodeableConcept", "Coding"}:
        return _codings(registry, is_concept=type_ == "CodeableConcept")
    if type_ == "code":
        return _codes(registry.bound_systems(element), registry)
    return {
        "Identifier": _identifier,
        "ContactPoint": None if parameter.contact else _contact_point,
        "boolean": _boolean,
        "uri": _as_is,
        "canonical": _as_is,
        "id": _as_is,
        "string": _string,
    }.get(type_)


@lru_cache(maxsize=16)
def _case_rule(registry: Registry) -> Callable[[str], bool]:
    """Return the registry's answer about systems, remembered where all converters share it."""
    return lru_cache(maxsize=4096)(registry.is_case_sensitive)


def _codings(registry: Registry, *, is_concept: bool) -> Converter:
    is_case_sensitive = _case_rule(registry)

    def coding(value: dict[str, Any], base: str, out: list[Any], types: list[Any], shown: list[Any]) -> None:  # noqa: ARG001
        code, system = value.get("code", ""), value.get("system", "")
        if code or system:
            out.append(f"{code if is_case_sensitive(system) else code.casefold()}|{hash_of(system)}")
        display = value.get("display")
        if display:
            shown.append(fold(display))

    def concept(value: dict[str, Any], base: str, out: list[Any], types: list[Any], shown: list[Any]) -> None:
        for one in value.get("coding", ()):
            coding(one, base, out, types, shown)
        text = value.get("text")
        if text:
            shown.append(fold(text))

    return concept if is_concept else coding


def _codes(systems: Mapping[str, str], registry: Registry) -> Converter:
    def code(value: str, base: str, out: list[Any], types: list[Any], shown: list[Any]) -> None:  # noqa: ARG001
        out.append(_code_entry(value, systems, registry))

    return code


def _code_entry(code: str, systems: Mapping[str, str], registry: Registry) -> str:
    system = systems.get(code) or systems.get("", "")
    folded = code if not system or registry.is_case_sensitive(system) else code.casefold()
    return f"{folded}|{hash_of(system)}"


def _identifier(value: dict[str, Any], base: str, out: list[Any], types: list[Any], shown: list[Any]) -> None:  # noqa: ARG001
    text, system = value.get("value", ""), value.get("system", "")
    if text or system:
        out.append(f"{text}|{hash_of(system)}")
    type_ = value.get("type")
    if type_:
        types += [
            f"{text}|{coding['code']}|{hash_of(coding.get('system', ''))}"
            for coding in type_.get("coding", ())
            if text and "code" in coding
        ]
        if "text" in type_:
            shown.append(fold(type_["text"]))


def _contact_point(value: dict[str, Any], base: str, out: list[Any], *sinks: list[Any]) -> None:  # noqa: ARG001
    text, system = value.get("value"), value.get("system", "")
    if text:
        out.append(_contact_entry(text, system))


def _contact_entry(text: str, system: str) -> str:
    """Return the entry of a contact point: telephone numbers without punctuation, the rest in lower case."""
    if system in {"phone", "fax", "pager", "sms"}:
        return f"{_CONTACT_PUNCTUATION.sub('', text).casefold()}|{system}"
    return f"{text.casefold()}|{system}"


def _boolean(value: bool, base: str, out: list[Any], types: list[Any], shown: list[Any]) -> None:  # noqa: ARG001
    out.append("true|" if value else "false|")


def _as_is(value: str, base: str, out: list[Any], types: list[Any], shown: list[Any]) -> None:  # noqa: ARG001
    out.append(value + "|")


def _string(value: str, base: str, out: list[Any], types: list[Any], shown: list[Any]) -> None:  # noqa: ARG001
    out.append(value.casefold() + "|")
    shown.append(fold(value))


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:
    """Return the expression of a token clause."""
    if modifier == "missing":
        return missing(parameter, values)
    if modifier == "of-type":
        return each(values, lambda text: _of_type(parameter, text))
    if modifier == "text":
        return each(values, lambda text: _shown(parameter, text))
    if modifier in {"in", "not-in"}:
        found = each(values, lambda text: _in_value_set(parameter, text, context.registry))
        return Not(found) if modifier == "not-in" else found
    if modifier in {"above", "below"}:
        return each(values, lambda text: _subsumed(parameter, modifier, text, context.registry))
    found = each(values, lambda text: value_of(parameter, parameter.field, text, context.registry))
    return Not(found) if modifier == "not" else found


def value_of(parameter: Parameter, field: str, text: str, registry: Registry) -> Expression:
    """Return the expression of one value ``code``, ``system|code``, ``|code`` or ``system|`` on a field."""
    parts = [unescape(part, parameter.name) for part in split(text, "|")]
    if len(parts) > 2:
        raise error(
            "invalid",
            f"Parameter '{parameter.name}': '{text}' has more than one '|'; inside a code, write '\\|'.",
        )
    system, code = parts if len(parts) == 2 else (None, parts[0])
    if "ContactPoint" in parameter.types:
        return _contact(parameter, field, system, code, text)
    if parameter.types and parameter.types <= _WITHOUT_SYSTEM:
        if system is not None:
            raise error(
                "invalid", f"Parameter '{parameter.name}' has no system: write the value without '|'."
            )
        if parameter.types == {"boolean"} and code not in {"true", "false"}:
            raise error("invalid", f"Parameter '{parameter.name}' takes 'true' or 'false', not '{code}'.")
    if system is None:
        return _bare(parameter, field, code, registry)
    if not code:
        return AnyCode(field, hash_of(system)) if system else Never()
    spellings = dict.fromkeys(_spellings(parameter, code, system, registry))
    return Equal(field, tuple(f"{spelling}|{hash_of(system)}" for spelling in spellings))


def _spellings(parameter: Parameter, code: str, system: str, registry: Registry) -> tuple[str, ...]:
    """Return the forms in which a code of a system may stand in the index."""
    if system and registry.is_case_sensitive(system):
        return (code,)
    if parameter.types and parameter.types <= {"CodeableConcept", "Coding", "string"}:
        return (code.casefold(),)
    if parameter.types == {"Identifier"} or (not system and parameter.types <= _EXACT):
        return (code,)
    return (code, code.casefold())


def _bare(parameter: Parameter, field: str, code: str, registry: Registry) -> Expression:
    if parameter.types and parameter.types <= _WITHOUT_SYSTEM:
        return Equal(field, (code + "|",))
    if parameter.types == {"string"}:
        return Equal(field, (code.casefold() + "|",))
    if parameter.types == {"code"}:
        entries = {_code_entry(code, registry.bound_systems(b.element), registry) for b in parameter.branches}
        return Equal(field, tuple(sorted(entries)))
    spellings = (code,) if parameter.types and parameter.types <= _EXACT else (code, code.casefold())
    return any_of(AnySystem(field, spelling) for spelling in dict.fromkeys(spellings))


def _contact(parameter: Parameter, field: str, system: str | None, code: str, text: str) -> Expression:
    if parameter.contact:
        if system is not None:
            raise error(
                "invalid", f"Parameter '{parameter.name}' has no system: write the value without '|'."
            )
        return Equal(field, (_contact_entry(code, parameter.contact),))
    if system is None:
        return Equal(field, tuple(_contact_entry(code, each_system) for each_system in _CONTACT_SYSTEMS))
    if system not in _CONTACT_SYSTEMS:
        raise error(
            "invalid",
            f"Parameter '{parameter.name}': '{text}': the part before '|' may only be one of "
            f"{', '.join(s for s in _CONTACT_SYSTEMS if s)}.",
        )
    return Equal(field, (_contact_entry(code, system),))


def _in_value_set(parameter: Parameter, text: str, registry: Registry) -> Expression:
    """Return the expression of ``:in``: one of the codes of a value set, named by URL or as ValueSet/id."""
    _check_coded(parameter, "in")
    question = ValueSetCodes(
        parameter.name, unescape(text, parameter.name), parameter.resource, parameter.field
    )
    return Open(question, lambda concepts: _concepts(parameter, concepts, registry))


def _subsumed(parameter: Parameter, direction: str, text: str, registry: Registry) -> Expression:
    """Return the expression of ``:above`` and ``:below``: a code, or one that it is subsumed by or subsumes."""
    _check_coded(parameter, direction)
    parts = [unescape(part, parameter.name) for part in split(text, "|")]
    system, code = parts if len(parts) == 2 else ("", parts[0])
    if not system and parameter.types == {"code"}:
        bound = [registry.bound_systems(branch.element) for branch in parameter.branches]
        system = next((s for b in bound if (s := b.get(code) or b.get("", ""))), "")
    if system == _MEDIA_TYPES:
        return _media_type(parameter, direction, code.casefold())
    if len(parts) > 2 or not system or not code:
        raise error("invalid", f"Parameter '{parameter.name}:{direction}' takes 'system|code', not '{text}'.")
    question = RelatedCodes(parameter.name, system, code, direction, parameter.resource, parameter.field)
    return Open(question, lambda codes: _concepts(parameter, [(system, code) for code in codes], registry))


def _check_coded(parameter: Parameter, modifier: str) -> None:
    if parameter.types and not parameter.types & _CODED:
        raise error(
            "not-supported",
            f"Parameter '{parameter.name}': its values are no codes, ':{modifier}' can't be used.",
        )


def _concepts(parameter: Parameter, concepts: Iterable[tuple[str, str]], registry: Registry) -> Expression:
    """Return the expression of any of these (system, code) pairs."""
    found: dict[str, None] = {}
    for system, code in concepts:
        for spelling in _spellings(parameter, code, system, registry):
            found[f"{spelling}|{hash_of(system)}"] = None
        if parameter.types == {"code"}:
            for branch in parameter.branches:
                if not registry.bound_systems(branch.element):
                    found[f"{code}|"] = None
    return Equal(parameter.field, tuple(sorted(found))) if found else Never()


def _media_type(parameter: Parameter, direction: str, code: str) -> Expression:
    """Return the expression of media types, whose hierarchy is text/xml; charset=utf-8 below text/xml below text."""
    suffix = f"|{hash_of(_MEDIA_TYPES)}"
    if direction == "above":
        base = code.partition(";")[0].strip()
        return Equal(parameter.field, tuple(f"{c}{suffix}" for c in dict.fromkeys((code, base))))
    if "/" not in code:
        return Pattern(parameter.field, f"^{literal(code)}\\/", f"{code}/")
    return any_of(Pattern(parameter.field, f"^{literal(code)}{end}", code) for end in (r"\|", r" *;"))


def _of_type(parameter: Parameter, text: str) -> Expression:
    """Return the expression of ``:of-type=system|code|value`` (system and code of the type)."""
    if "Identifier" not in parameter.types:
        raise error("not-supported", f"Parameter '{parameter.name}': ':of-type' is only for identifiers.")
    parts = [unescape(part, parameter.name) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise error(
            "invalid",
            f"Parameter '{parameter.name}:of-type' takes 'system|code|value', all three parts, not '{text}'.",
        )
    system, code, value = parts
    return Equal(f"{parameter.field}-type", (f"{value}|{code}|{hash_of(system)}",))


def _shown(parameter: Parameter, text: str) -> Expression:
    """Return the expression of ``:text``: a word of display or text begins with it."""
    if parameter.types and not parameter.types & (_WITH_TEXT | {"string"}):
        raise error(
            "not-supported", f"Parameter '{parameter.name}': its values have no text, ':text' can't be used."
        )
    return Pattern(f"x.{parameter.name}", f"(^| ){literal(fold(unescape(text, parameter.name)))}")


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:
    """Order by code."""
    return (order_by(parameter.field, descending),)


TYPE = ParameterType(
    "token",
    frozenset({"missing", "not", "text", "of-type", "in", "not-in", "above", "below"}),
    (
        Output("i"),
        Output("i", "-type", for_types=frozenset({"Identifier"})),
        Output("x", for_types=_WITH_TEXT | {"string"}),
    ),
    convert,
    parse,
    sort,
)
