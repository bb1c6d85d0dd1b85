"""R4's rules of matching, written a second time over the JSON itself: slow, plain, sharing no code with the engine.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import calendar
import unicodedata
from datetime import datetime, timedelta, timezone
from fractions import Fraction

FIRST = datetime(1, 1, 1, tzinfo=timezone.utc)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc)
GRAMS = {"kg": Fraction(1000), "g": Fraction(1), "mg": Fraction(1, 1000)}
UCUM = "http://unitsofmeasure.org"


def span(text):
    """First and last moment of a partial date, in microseconds."""
    if "T" not in text:
        parts = [int(p) for p in text.split("-")]
        year, month, day = (*parts, None, None)[:3]
        start = datetime(year, month or 1, day or 1, tzinfo=timezone.utc)
        last_month = month or 12
        last_day = day or calendar.monthrange(year, last_month)[1]
        return start, datetime(year, last_month, last_day, 23, 59, 59, 999000, tzinfo=timezone.utc)
    clock, zone = (text[:-1], "+00:00") if text.endswith("Z") else (text[:-6], text[-6:])
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    form = "%Y-%m-%dT%H:%M:%S.%f" if "." in clock else "%Y-%m-%dT%H:%M:%S" if clock.count(":") == 2 else "%Y-%m-%dT%H:%M"
    start = datetime.strptime(clock, form).replace(tzinfo=timezone(offset))
    length = {"%Y-%m-%dT%H:%M": 59.999, "%Y-%m-%dT%H:%M:%S": 0.999}.get(form, 0)
    return start, start + timedelta(seconds=length)


def spans(resource):
    if "effectiveDateTime" in resource:
        return [span(resource["effectiveDateTime"])]
    period = resource.get("effectivePeriod")
    if period is None:
        return []
    return [(span(period["start"])[0] if "start" in period else FIRST, span(period["end"])[1] if "end" in period else LAST)]


def date_matches(resource, value):
    prefix, text = (value[:2], value[2:]) if value[:1].isalpha() else ("eq", value)
    a, b = span(text)
    for low, high in spans(resource):
        equal = low >= a and high <= b
        answers = {
            "eq": equal, "ne": not equal, "gt": high > b, "lt": low < a, "ge": high > b or equal, "le": low < a or equal,
            "sa": low > b, "eb": high < a,
        }  # fmt: skip
        if answers[prefix]:
            return True
    return False


def half_unit(text):
    mantissa, _, exponent = text.lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    power = int(exponent or 0) - digits
    if exponent and len(mantissa.strip("-").replace(".", "")) == 1:
        power -= 1  # the specification's example: 1e2 is [95, 105)
    return Fraction(10) ** power / 2


def in_range(prefix, low, high, value, half):
    """Low and high are the same for plain values; None means without end."""
    below, above = value - half, value + half
    infinite = Fraction(10) ** 30
    low = -infinite if low is None else low
    high = infinite if high is None else high
    return {
        "eq": low >= below and high < above, "ne": not (low >= below and high < above),
        "gt": high > value, "lt": low < value, "ge": high >= value, "le": low <= value,
        "sa": low > value, "eb": high < value,
        "ap": low <= value + abs(value) / 10 and high >= value - abs(value) / 10,
    }[prefix]  # fmt: skip


def quantity_matches(resource, value):
    number, *rest = value.split("|")
    prefix, number = (number[:2], number[2:]) if number[:1].isalpha() else ("eq", number)
    wanted, half = Fraction(number), half_unit(number)
    system, code = (rest + ["", ""])[:2]
    quantity = resource.get("valueQuantity")
    if quantity is None:
        return False
    low = high = Fraction(quantity["value"])
    comparator = quantity.get("comparator")
    if comparator in {"<", "<="}:
        low = None
    if comparator in {">", ">="}:
        high = None
    if system and code:
        if quantity.get("system") != system:
            return False
        if code in GRAMS and quantity.get("code") in GRAMS:
            factor = GRAMS[code]
            wanted, half = wanted * factor, half * factor
            own = GRAMS[quantity["code"]]
            low, high = (None if v is None else v * own for v in (low, high))
        elif quantity.get("code") != code:
            return False
    elif code and code not in {quantity.get("code"), quantity.get("unit")}:
        return False
    return in_range(prefix, low, high, wanted, half)


def tokens(concept):
    return [(c.get("system", ""), c.get("code", "")) for c in (concept or {}).get("coding", [])]


def token_matches(found, value):
    """Unknown systems: without regard to case."""
    system, bar, code = value.rpartition("|")
    for own_system, own_code in found:
        if bar and own_system != system:
            continue
        if not code or own_code.lower() == code.lower():
            return True
    return False


def reference_matches(resource, value, targets):
    reference = resource.get("subject", {}).get("reference", "")
    if "/" in value:
        return reference == value
    return any(reference == f"{target}/{value}" for target in targets)


def plain(text):
    decomposed = unicodedata.normalize("NFKD", text)
    letters = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    return " ".join(letters.replace("-", " ").replace("'", "").split())


def string_matches(resource, value, modifier):
    for name in resource.get("name", []):
        family = name.get("family")
        if family is None:
            continue
        if modifier == "exact":
            found = family == value
        elif modifier == "contains":
            found = plain(value) in plain(family)
        else:
            words = plain(family).split(" ")
            found = any(" ".join(words[n:]).startswith(plain(value)) for n in range(len(words)))
        if found:
            return True
    return False
