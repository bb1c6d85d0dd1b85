"""What the operator decides about validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of a validator.

    With ``best_practices`` constraints that R4 marks as such (dom-6) are evaluated too. ``unknown_extension`` and
    ``unknown_modifier_extension`` are the severities of extensions without a definition, ``unknown_profile`` that
    of a claim in ``meta.profile`` without one. ``imposed`` are profiles that all resources of a type must keep.
    """

    best_practices: bool = False
    unknown_extension: str = "information"
    unknown_modifier_extension: str = "warning"
    unknown_profile: str = "warning"
    imposed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
