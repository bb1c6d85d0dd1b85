"""National numbers with their keys. Only in the systems and ranges that are kept for tests."""

from __future__ import annotations

import hashlib
from datetime import date
from uuid import UUID

#: Citizens that fit one department: (commune, order) pairs.
_PER_DEPARTMENT = 990 * 999


def with_key(thirteen: str) -> str:
    """Return an INS value: 13 characters and the key, 97 minus their remainder by 97. Corsica: 2A is 19, 2B is 18."""
    number = int(thirteen.replace("2A", "19").replace("2B", "18"))
    return f"{thirteen}{97 - number % 97:02}"


def ins(index: int, seed: int, *, is_male: bool, born: date) -> str:
    """Return the INS of the demo's citizen ``index``: never the same for two citizens of one seed."""
    department, place = divmod(index, _PER_DEPARTMENT)
    commune, order = divmod(place, 999)
    where = (seed + department) % 95 + 1
    sex = 1 if is_male else 2
    return with_key(f"{sex}{born.year % 100:02}{born.month:02}{where:02}{commune + 1:03}{order + 1:03}")


def rpps(number: int) -> str:
    """Return a professional's number: 11 digits that begin with 997, the last one by Luhn."""
    ten = f"997{number:07}"
    total = 0
    for place, digit in enumerate(reversed(ten)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return f"{ten}{-total % 10}"


def uuid(name: str) -> str:
    """Return a ``urn:uuid:`` that always is the same for a name."""
    return f"urn:uuid:{UUID(bytes=hashlib.md5(name.encode(), usedforsecurity=False).digest(), version=5)}"
