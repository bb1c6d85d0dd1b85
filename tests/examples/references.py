"""The references that a resource holds, wherever they stand."""

from __future__ import annotations

from typing import Any


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if isinstance(node, dict):
        own = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return []
