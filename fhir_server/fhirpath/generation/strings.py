"""Functions on strings, and conversions, of generated expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fhir_server.fhirpath.functions.strings import regex
from fhir_server.fhirpath.generation.comparisons import one_value
from fhir_server.fhirpath.generation.paths import all_of
from fhir_server.fhirpath.generation.shapes import (
    UNKNOWN,
    Alt,
    Bool,
    Shape,
    Unsupported,
    Val,
    definite,
    family,
)
from fhir_server.fhirpath.tree import Call, Literal

if TYPE_CHECKING:
    from fhir_server.fhirpath.generation.emitter import Emitter


def _string(emitter: Emitter, call: Call, focus: Alt) -> Val:
    value = one_value(emitter, emitter.collection(call.source, focus))
    if family(value.type) not in {"string", UNKNOWN}:
        raise Unsupported
    return value


def _argument(call: Call, index: int = 0) -> str:
    argument = call.arguments[index]
    if not (isinstance(argument, Literal) and isinstance(argument.value, str)):
        raise Unsupported
    return argument.value


def _test(value: Val, condition: str) -> Bool:
    if not value.nullable:
        return definite(condition)
    given = f"({value.value} is not None)"
    return Bool(all_of(given, condition), all_of(given, f"(not {condition})"))


def _starts_with(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    value = _string(emitter, call, focus)
    prefix = one_value(emitter, emitter.compile(call.arguments[0], focus))
    if family(prefix.type) not in {"string", UNKNOWN}:
        raise Unsupported
    if not prefix.nullable:
        return _test(value, f"{value.value}.startswith({prefix.value})")
    given = all_of(f"({value.value} is not None)", f"({prefix.value} is not None)")
    fits = f"{value.value}.startswith({prefix.value})"
    return Bool(all_of(given, fits), all_of(given, f"(not {fits})"))


def _ends_with(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    value = _string(emitter, call, focus)
    return _test(value, f"{value.value}.endswith({_argument(call)!r})")


def _contains(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    value = _string(emitter, call, focus)
    return _test(value, f"({_argument(call)!r} in {value.value})")


def _matches(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    value = _string(emitter, call, focus)
    search = emitter.constant(regex(_argument(call)).search)
    return _test(value, f"({search}({value.value}) is not None)")


def _replace_matches(emitter: Emitter, call: Call, focus: Alt) -> Val:
    value = _string(emitter, call, focus)
    pattern, substitute = _argument(call), _argument(call, 1)
    if not pattern or "$" in substitute or "\\" in substitute:
        raise Unsupported
    replaced = f"{emitter.constant(regex(pattern).sub)}({substitute!r}, {value.value})"
    return Val(
        f"(None if {value.value} is None else {replaced})" if value.nullable else replaced,
        "String",
        value.nullable,
    )


def _substring(emitter: Emitter, call: Call, focus: Alt) -> Val:
    value = _string(emitter, call, focus)
    numbers = [a.value for a in call.arguments if isinstance(a, Literal) and isinstance(a.value, int)]
    if len(numbers) != len(call.arguments):
        raise Unsupported
    return Val(f"substring({value.value}, {', '.join(map(str, numbers))})", "String")


def _length(emitter: Emitter, call: Call, focus: Alt) -> Val:
    value = _string(emitter, call, focus)
    measured = f"len({value.value})"
    return Val(
        f"(None if {value.value} is None else {measured})" if value.nullable else measured,
        "Integer",
        value.nullable,
    )


def _to_integer(emitter: Emitter, call: Call, focus: Alt) -> Val:
    value = one_value(emitter, emitter.collection(call.source, focus))
    if family(value.type) not in {"string", "number"}:
        raise Unsupported
    return Val(f"to_integer({value.value})", "Integer")


def _to_string(emitter: Emitter, call: Call, focus: Alt) -> Val:
    value = one_value(emitter, emitter.collection(call.source, focus))
    if family(value.type) not in {"string", "number", "boolean"}:
        raise Unsupported
    return Val(f"to_string({value.value})", "String")


FUNCTIONS: dict[tuple[str, int], Callable[[Emitter, Call, Alt], Shape]] = {
    ("startsWith", 1): _starts_with,
    ("endsWith", 1): _ends_with,
    ("contains", 1): _contains,
    ("matches", 1): _matches,
    ("replaceMatches", 2): _replace_matches,
    ("substring", 1): _substring,
    ("substring", 2): _substring,
    ("length", 0): _length,
    ("toInteger", 0): _to_integer,
    ("toString", 0): _to_string,
}
