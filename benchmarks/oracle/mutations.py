"""Resources that are slightly wrong, or only unusual: one change each, made at random of what other resources hold.

Unlike the mutations of the tests these needn't break anything: whether they do is what the two validators are asked.
"""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

#: A place of a resource: the object or list that holds a value, the key or index, and the names on the way.
Place = tuple[Any, Any, tuple[str, ...]]
Pool = dict[str, list[Any]]


def places(node: Any, way: tuple[str, ...] = ()) -> Iterator[Place]:
    """Yield all places below a node, resourceTypes left out."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key != "resourceType":
                yield node, key, (*way, key)
                yield from places(value, (*way, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield node, index, way
            yield from places(value, way)


def pool(resources: list[dict[str, Any]]) -> Pool:
    """Return the values that resources hold, by the name of their property."""
    found: Pool = defaultdict(list)
    for resource in resources:
        for holder, key, _ in places(resource):
            if isinstance(key, str):
                found[key].append(holder[key])
    return found


def drop(place: Place, _pool: Pool, _dice: random.Random) -> bool:
    """Take a property or an item away."""
    holder, key, _ = place
    del holder[key]
    return True


def swap(place: Place, found: Pool, dice: random.Random) -> bool:
    """Put in the value that a property of the same name has elsewhere."""
    holder, key, way = place
    name = key if isinstance(key, str) else way[-1]
    other = dice.choice(found[name])
    if isinstance(key, int) and isinstance(other, list):
        other = dice.choice(other) if other else None
    if other is None or other == holder[key]:
        return False
    holder[key] = copy.deepcopy(other)
    return True


def graft(place: Place, found: Pool, dice: random.Random) -> bool:
    """Add properties that an object with the same name has elsewhere."""
    holder, key, way = place
    if not isinstance(holder[key], dict):
        return False
    name = key if isinstance(key, str) else way[-1]
    other = dice.choice(found[name])
    if isinstance(other, list):
        other = dice.choice(other) if other else None
    if not isinstance(other, dict) or not other.keys() - holder[key].keys():
        return False
    added = dice.choice(sorted(other.keys() - holder[key].keys()))
    holder[key][added] = copy.deepcopy(other[added])
    return True


def tweak(place: Place, _pool: Pool, dice: random.Random) -> bool:
    """Change one character of a text, or a number a little."""
    holder, key, way = place
    value = holder[key]
    if way[-1] == "data":
        return False
    if isinstance(value, bool):
        holder[key] = not value
    elif isinstance(value, str) and value:
        index = dice.randrange(len(value))
        holder[key] = value[:index] + dice.choice("a Z0-./:#|é\t") + value[index + dice.randrange(2) :]
    elif isinstance(value, int | float):
        holder[key] = dice.choice([0, -1, -value, value + 1, value * 1000, 2**31])
    else:
        return False
    return True


def repeat(place: Place, _pool: Pool, _dice: random.Random) -> bool:
    """Give an item twice."""
    holder, key, _ = place
    if not isinstance(key, int):
        return False
    holder.append(copy.deepcopy(holder[key]))
    return True


def retype(place: Place, _pool: Pool, dice: random.Random) -> bool:
    """Put in a value of another JSON type."""
    holder, key, _ = place
    holder[key] = dice.choice(["text", 7, True, None, [], {}, [holder[key]], {"text": "x"}, ""])
    return True


MUTATIONS: tuple[Callable[[Place, Pool, random.Random], bool], ...] = (
    drop,
    swap,
    graft,
    tweak,
    repeat,
    retype,
)


def mutated(
    resource: dict[str, Any], found: Pool, dice: random.Random
) -> tuple[str, str, dict[str, Any]] | None:
    """Return the name of a mutation, its place and the changed copy; None if the dice found no place for it."""
    changed = copy.deepcopy(resource)
    # Deep places are many and alike, so the depth is chosen first.
    by_depth: dict[int, list[Place]] = defaultdict(list)
    for place in places(changed):
        by_depth[len(place[2])].append(place)
    mutation = dice.choice(MUTATIONS)
    for _ in range(20):
        place = dice.choice(by_depth[dice.choice(sorted(by_depth))])
        if mutation(place, found, dice):
            return mutation.__name__, ".".join(place[2]), changed
    return None
