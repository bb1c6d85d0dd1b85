"""Which of the scopes that are asked for can be given.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

from collections.abc import Collection

from fhir_server.access.scopes import Scope, Scopes, parse

#: Scopes that speak of no resource.
OTHERS = ("openid", "fhirUser", "profile", "launch", "launch/patient", "offline_access", "online_access")


def grantable(asked: str, most: str, types: Collection[str], levels: Collection[str]) -> tuple[str, ...]:
    """Return the words of ``asked`` that mean something here and lie within ``most`` ("" allows all), in order."""
    limit = parse(most, types)
    return tuple(
        word
        for word in dict.fromkeys(asked.split())
        if (
            (scope := _scope(word, types)) is not None
            and scope.level in levels
            and (not most or _is_within(scope, limit))
        )
        or (word in OTHERS and "system" not in levels and (not most or word in most.split()))
    )


def narrowed(asked: str, granted: str, types: Collection[str]) -> tuple[str, ...] | None:
    """Return the words of ``asked`` when all lie within ``granted``, else None."""
    limit, words = parse(granted, types), tuple(dict.fromkeys(asked.split()))
    for word in words:
        scope = _scope(word, types)
        if word not in granted.split() and (scope is None or not _is_within(scope, limit)):
            return None
    return words


def _scope(word: str, types: Collection[str]) -> Scope | None:
    return next(iter(parse(word, types).resources), None)


def _is_within(scope: Scope, limit: Scopes) -> bool:
    """Tell whether one scope of the limit allows all that a scope does; more conditions allow less."""
    return any(
        wider.level == scope.level
        and wider.type in ("*", scope.type)
        and set(scope.letters) <= set(wider.letters)
        and set(wider.conditions) <= set(scope.conditions)
        for wider in limit.resources
    )
