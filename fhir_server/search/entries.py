"""What search writes into the store and asks of it: index entries, index descriptors, plans.

``store`` takes these values as they are; the shapes of ``i`` belong to ``search.parameters``, where the
filter of each parameter type stands beside its index entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class IndexEntries:
    """The searchable part of one resource, as it stands in the stored document.

    ``patient`` is the id of the home patient (field ``p``), ``other_compartments`` the other patients'
    references (``cp``), ``main_date`` the milliseconds UTC of the type's main date (basis of ``s``),
    ``values`` one field per search parameter (``i``), ``raw`` unindexed copies for residual checks (``x``).
    """

    patient: str | None
    other_compartments: tuple[str, ...]
    main_date: int | None
    values: dict[str, Any]
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class IndexDescriptor:
    """One MongoDB index; ``partial`` is the field that must exist, or None.

    ``keys`` are (field, 1 or -1 or the name of another kind of index, such as "2dsphere").
    """

    name: str
    keys: tuple[tuple[str, int | str], ...]
    partial: str | None = None
    unique: bool = False


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """One query against one type's collection; nothing downstream parses text again.

    ``filter`` is a MongoDB filter without access conditions (the store adds those of the AccessContext);
    ``never`` answers empty without a database call; ``hint`` the name of an index or None; ``sort`` MongoDB
    sort keys; ``limit`` how many rows to fetch (page size + 1, or 0 for none). ``projection`` names
    top-level fields needed besides the body, computed ones included; ``keys_only`` leaves the bodies out;
    ``deleted`` finds deletions, too.

    When ``computed`` is not empty the query is an aggregation, in this order: match ``filter`` (and access),
    ``$addFields`` computed, match ``after`` (if not empty), sort, limit, project. Otherwise it is a plain
    find and ``after`` is empty. ``sorts_first``: ``sort`` is that of an index and comes before what is computed.
    """

    type: str
    filter: dict[str, Any]
    hint: str | None = None
    sort: tuple[tuple[str, int], ...] = ()
    limit: int = 0
    never: bool = False
    projection: tuple[str, ...] = ()
    issues: tuple[Any, ...] = field(default=())
    computed: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    sorts_first: bool = False
    keys_only: bool = False
    deleted: bool = False
