"""What a compiled sub-expression is: snippets of Python source with what is known about them.

Truth is kept as two snippets: one that holds when the result is true and one that holds when it is false.
When neither
holds the result is empty. So three-valued logic needs no third value at run time, and a constraint evaluates
the first
snippet only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: The type of an item that is only known at run time.
UNKNOWN = "?"

_STRING = {
    "string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "base64Binary",
    "xhtml", "String",
}  # fmt: skip
_NUMBER = {"integer", "decimal", "positiveInt", "unsignedInt", "Integer", "Decimal"}
_DATE = {"date", "dateTime", "instant", "Date", "DateTime"}
_QUANTITY = {
    "Quantity",
    "Age",
    "Count",
    "Distance",
    "Duration",
    "MoneyQuantity",
    "SimpleQuantity",
    "System.Quantity",
}
_FAMILIES = [("string", _STRING), ("number", _NUMBER), ("date", _DATE), ("quantity", _QUANTITY),
             ("time", {"time", "Time"}), ("boolean", {"boolean", "Boolean"}),
             (UNKNOWN, {UNKNOWN})]  # fmt: skip
FAMILY = {name: family for family, names in _FAMILIES for name in names}


def family(type_name: str) -> str:
    """Return what values of a type compare with: string, number, date, time, boolean, quantity, complex."""
    return FAMILY.get(type_name, "complex")


class Unsupported(Exception):  # noqa: N818 - a signal inside this package
    """The generator leaves this sub-expression to the interpreter."""


@dataclass(frozen=True, slots=True)
class Alt:
    """Items of one static type, reached in one way.

    ``clauses`` are comprehension clauses. Held lazily, the items are ``owner[key]`` (an array when
    ``is_list``);
    otherwise ``value`` is the expression of one item and ``sibling`` that of its ``_name`` object
    (primitives).
    ``many`` tells whether there can be several; ``guard`` is a cheap condition without which there are none;
    ``dynamic`` is the expression of the type name when ``type`` is UNKNOWN.
    """

    type: str
    clauses: tuple[str, ...] = ()
    owner: str = ""
    key: str = ""
    is_list: bool = False
    value: str = ""
    sibling: str = ""
    many: bool = False
    guard: str = ""
    dynamic: str = ""

    def with_clauses(self, *clauses: str) -> Alt:
        """Return the same items with further clauses."""
        return replace(self, clauses=(*self.clauses, *clauses))


@dataclass(frozen=True, slots=True)
class Coll:
    """A collection: the items of all alternatives in order; ``union`` when equal items count once.

    ``exclusive``: at most one of the alternatives has items (the types of a choice element).
    """

    alts: tuple[Alt, ...]
    union: bool = False
    exclusive: bool = True

    @property
    def many(self) -> bool:
        """Tell whether there can be more than one item."""
        return any(a.many for a in self.alts) or (len(self.alts) > 1 and not self.exclusive)


@dataclass(frozen=True, slots=True)
class Val:
    """One value, or None for empty when ``nullable``."""

    value: str
    type: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Bool:
    """Truth as two conditions; ``definite`` when exactly one of them holds."""

    true: str
    false: str
    definite: bool = False


Shape = Coll | Val | Bool


def definite(condition: str) -> Bool:
    """Return a truth value that is never empty."""
    return Bool(condition, f"(not {condition})", definite=True)
