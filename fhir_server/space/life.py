"""The life of a space: its states, who is opened automatically, and when.

access.md and docs/space.md have the table of states.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DAY = 86_400_000


class State(StrEnum):
    """The state of a space; CodeSystem hs-space-state. No control document: no space was spoken of yet."""

    PENDING = "opening-pending"
    OPEN = "open"
    OPPOSED = "opposed"
    CLOSED = "closed"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Space:
    """The control document of one patient's space.

    ``since`` is when the state began, ``notice`` when the notice was sent (milliseconds UTC; 0: not sent, or it came
    back); ``origin`` automatic or requested; ``epoch`` counts the changes.
    """

    patient: str
    state: State
    since: int
    origin: str = "requested"
    cohort: str = ""
    notice: int = 0
    epoch: int = 0


def is_in_cohort(cohort: str, birth_date: str) -> bool:
    """Tell whether a setting ``born-from:YYYY-MM-DD``, ``everyone`` or ``nobody`` means a person."""
    if cohort.startswith("born-from:"):
        return len(birth_date) == 10 and birth_date >= cohort.removeprefix("born-from:")
    return cohort == "everyone"


def is_due(space: Space, days: int, now: int) -> bool:
    """Tell whether the citizen had time to object: whole days since the notice was sent."""
    return space.state is State.PENDING and 0 < space.notice <= now - days * DAY
