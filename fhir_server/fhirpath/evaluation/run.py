"""The state of one evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.fhirpath.env import Env
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.evaluation.items import Items
from fhir_server.fhirpath.protocols import Types

#: Longest string that an expression may build, in characters.
MAX_STRING = 1_048_576


@dataclass(slots=True)
class Run:
    """One evaluation: its surroundings, the type model, what ``%context`` is, and the steps that are left.

    ``published`` follows how published definitions use the language (see README.md).
    """

    env: Env
    types: Types
    context: Items
    published: bool = False
    steps: int | None = None

    def spend(self, steps: int) -> None:
        """Use up steps; raises FhirPathError (budget) when there are none left."""
        if self.steps is not None:
            self.steps -= steps
            if self.steps < 0:
                raise FhirPathError("budget", "it takes more steps than are allowed for one request")


@dataclass(frozen=True, slots=True)
class Scope:
    """What the special variables mean: the focus, ``$index`` and ``$total``."""

    this: Items
    index: Items
    total: Items


#: A compiled sub-expression.
Closure = Callable[[Run, Scope], Items]


def fail(message: str) -> FhirPathError:
    """Return an execution error."""
    return FhirPathError("execution", message)


def single(items: Items, what: str) -> Any:
    """Return the only item or None for none; raises FhirPathError for several."""
    if len(items) > 1:
        raise fail(f"{what} takes one item and got {len(items)}")
    return items[0] if items else None


def truth(items: Items) -> bool | None:
    """Return a collection as boolean: None for empty; raises FhirPathError for several items.

    https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections
    """
    if not items:
        return None
    item = single(items, "a condition")
    if item.__class__ is bool:
        return bool(item)
    value = getattr(item, "value", item)
    return value if value.__class__ is bool else True
