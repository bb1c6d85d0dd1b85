"""UCUM unit expressions: reading them, and the factor to base units.

https://ucum.org/ucum#section-Syntax-Rules
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from fhir_server.datatypes.ucum_units import AFFINE, ARBITRARY, BASE, BINARY_PREFIXES, METRIC, PREFIXES, UNITS

SYSTEM = "http://unitsofmeasure.org"

_MAX_LENGTH = 200
_MAX_DEPTH = 10
_MAX_EXPONENT = 40
#: A unit symbol with its exponent: characters that aren't structure, square brackets may hold anything.
_COMPONENT = re.compile(r"((?:10[*^])|(?:[^\d./(){}\[\]+\-\s]|\[[^\]\s]+\])+)([+-]?\d+)?", re.ASCII)
_NUMBER = re.compile(r"\d+", re.ASCII)
_ANNOTATION = re.compile(r"\{[\x21-\x7c~ ]*?\}")

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit in base units: value in base units = (value + shift) * factor.

    ``dimensions`` are the base units with their exponents, sorted; arbitrary units are dimensions of their
    own.
    """

    factor: Fraction
    dimensions: Dimensions = ()
    shift: Fraction = Fraction(0)


@lru_cache(maxsize=4096)
def unit(code: str) -> Unit | None:
    """Return the unit of a UCUM code (case-sensitive), or None when the code isn't valid or not known."""
    if not code or len(code) > _MAX_LENGTH:
        return None
    if code in AFFINE:
        shift, factor = AFFINE[code]
        return Unit(Fraction(factor), (("K", 1),), Fraction(shift))
    try:
        reader = _Reader(code)
        found = reader.term(0)
    except (_Invalid, ZeroDivisionError):
        return None
    return found if reader.at == len(code) else None


def convert(value: Fraction, source: str, target: str) -> Fraction | None:
    """Return the value in another unit, or None when the units aren't known or aren't commensurable."""
    first, second = unit(source), unit(target)
    if first is None or second is None or first.dimensions != second.dimensions:
        return None
    return (value + first.shift) * first.factor / second.factor - second.shift


def base_code(dimensions: Dimensions) -> str:
    """Return the UCUM code of these dimensions in base units, ``1`` for none."""
    return ".".join(name + (str(power) if power != 1 else "") for name, power in dimensions) or "1"


class _Invalid(Exception):  # noqa: N818 - never leaves this file
    """The text isn't a unit."""


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def term(self, depth: int) -> Unit:
        if depth > _MAX_DEPTH:
            raise _Invalid
        sign = 1
        if self._takes("/"):
            sign = -1
        found = _power(self._component(depth), sign)
        while self.at < len(self.text) and self.text[self.at] in "./":
            sign = -1 if self.text[self.at] == "/" else 1
            self.at += 1
            found = _times(found, _power(self._component(depth), sign))
        return found

    def _takes(self, character: str) -> bool:
        if self.text.startswith(character, self.at):
            self.at += 1
            return True
        return False

    def _component(self, depth: int) -> Unit:
        if self._takes("("):
            found = self.term(depth + 1)
            if not self._takes(")"):
                raise _Invalid
            return found
        annotation = _ANNOTATION.match(self.text, self.at)
        if annotation:
            self.at = annotation.end()
            return Unit(Fraction(1))
        match = _COMPONENT.match(self.text, self.at)
        if match:
            self.at = match.end()
            found = _power(_atom(match.group(1)), int(match.group(2) or 1))
        else:
            number = _NUMBER.match(self.text, self.at)
            if number is None or len(number.group()) > _MAX_EXPONENT:
                raise _Invalid
            self.at = number.end()
            found = Unit(Fraction(int(number.group())))
        annotation = _ANNOTATION.match(self.text, self.at)
        if annotation:
            self.at = annotation.end()
        return found


def _times(left: Unit, right: Unit) -> Unit:
    powers = dict(left.dimensions)
    for name, power in right.dimensions:
        powers[name] = powers.get(name, 0) + power
    return Unit(left.factor * right.factor, tuple(sorted((n, p) for n, p in powers.items() if p)))


def _power(base: Unit, exponent: int) -> Unit:
    if abs(exponent) > _MAX_EXPONENT:
        raise _Invalid
    if exponent == 1:
        return base
    return Unit(base.factor**exponent, tuple((n, p * exponent) for n, p in base.dimensions if exponent))


@lru_cache(maxsize=1024)
def _atom(symbol: str) -> Unit:
    for name, factor in _readings(symbol):
        if name in BASE:
            return Unit(factor, ((name, 1),))
        if name in ARBITRARY:
            return Unit(factor, ((name, 1),))
        if name in AFFINE:  # inside a product a degree is an interval
            return Unit(factor * Fraction(AFFINE[name][1]), (("K", 1),))
        if name in UNITS:
            number, expression = UNITS[name]
            return _times(Unit(factor * Fraction(number)), _Reader(expression).term(0))
    raise _Invalid


def _readings(symbol: str) -> Iterator[tuple[str, Fraction]]:
    """Yield the ways to read a symbol as prefix and atom; the bare atom comes first."""
    yield symbol, Fraction(1)
    for length in (1, 2):
        prefix, name = symbol[:length], symbol[length:]
        if name in METRIC and prefix in PREFIXES:
            yield name, Fraction(10) ** PREFIXES[prefix]
        if name in {"bit", "By"} and prefix in BINARY_PREFIXES:
            yield name, Fraction(BINARY_PREFIXES[prefix])
