"""Numbers that name a person in a country, and how to recognise them: ``conformance/clients/identifiers.yaml``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

_NIR = re.compile(r"(?P<body>\d{5}(?:\d{2}|2[AB])\d{6})(?P<key>\d{2})")


@dataclass(frozen=True)
class Identifier:
    """A kind of national identifier: its systems, its form (a regular expression), and its check (nir, luhn or "")."""

    name: str
    systems: tuple[str, ...] = ()
    pattern: str = ""
    check: str = ""

    @cached_property
    def _found(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![0-9A-Za-z]){self.pattern}(?![0-9A-Za-z])")

    def is_in(self, text: str) -> bool:
        """Tell whether such a number stands in a text: with its system and a value, or by its form."""
        if any(re.search(re.escape(system) + r"\|[^\s,&]", text) for system in self.systems):
            return True
        if not self.pattern:
            return False
        return any(_CHECKS[self.check](found[0].replace(" ", "")) for found in self._found.finditer(text))


def _nir(text: str) -> bool:
    """Tell whether the key of a French NIR fits (Corsica: 2A counts as 19, 2B as 18)."""
    found = _NIR.fullmatch(text)
    if found is None:
        return False
    return int(found["body"].replace("2A", "19").replace("2B", "18")) % 97 == 97 - int(found["key"])


def _luhn(text: str) -> bool:
    doubled = (int(c) * (2 if n % 2 else 1) for n, c in enumerate(reversed(text)))
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


_CHECKS: dict[str, Callable[[str], bool]] = {"nir": _nir, "luhn": _luhn, "": bool}
