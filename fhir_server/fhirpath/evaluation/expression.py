"""An expression of the whole language, ready to be evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import DecimalException
from typing import Any

from fhir_server.fhirpath.env import Env
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.evaluation.compiler import compile_tree
from fhir_server.fhirpath.evaluation.items import Items, Node
from fhir_server.fhirpath.evaluation.run import Closure, Run, Scope, truth
from fhir_server.fhirpath.protocols import Types
from fhir_server.fhirpath.tree import Tree


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    text: str
    type_name: str | None
    types: Types
    closure: Closure
    published: bool = False

    def items(self, node: Any, env: Env, *, sibling: dict[str, Any] | None = None) -> Items:
        """Return the result as items: Node for FHIR elements, plain values for System types.

        ``node`` is the JSON value of the focus, a Node, or None for no focus. Raises FhirPathError
        (execution, budget).
        """
        return self.counted(node, env, sibling=sibling)[0]

    def counted(
        self, node: Any, env: Env, *, sibling: dict[str, Any] | None = None
    ) -> tuple[Items, int | None]:
        """Return what ``items`` does, and how many of ``env.steps`` are left (None when there is no limit)."""
        focus = self._focus(node, sibling)
        run = Run(env, self.types, focus, self.published, env.steps)
        try:
            return self.closure(run, Scope(focus, [], [])), run.steps
        except RecursionError:
            raise FhirPathError("budget", "the resource is nested too deeply for it") from None
        except DecimalException:
            raise FhirPathError("execution", "a number is out of range") from None

    def evaluate(self, node: Any, env: Env, *, sibling: dict[str, Any] | None = None) -> list[Any]:
        """Return the result as values: JSON for FHIR elements, plain values for System types."""
        return [
            item.value if isinstance(item, Node) else item for item in self.items(node, env, sibling=sibling)
        ]

    def is_true(self, node: Any, env: Env, *, sibling: dict[str, Any] | None = None) -> bool:
        """Tell whether the result counts as true; empty doesn't."""
        return truth(self.items(node, env, sibling=sibling)) is True

    def _focus(self, node: Any, sibling: dict[str, Any] | None) -> Items:
        if node is None and sibling is None:
            return []
        if isinstance(node, Node):
            return [node]
        type_name = node.get("resourceType") if isinstance(node, dict) else None
        return [Node(node, type_name or self.type_name or "Element", sibling)]


def fallback(types: Types) -> Callable[[Tree, str], Callable[..., bool | None]]:
    """Return what the generator calls for sub-expressions that it leaves to the interpreter."""

    def compile_part(tree: Tree, type_name: str) -> Callable[..., bool | None]:
        closure = compile_tree(tree, types, published=True)

        def part(value: Any, sibling: dict[str, Any] | None, env: Env) -> bool | None:
            actual = value.get("resourceType") if isinstance(value, dict) else None
            focus: Items = [Node(value, actual or type_name, sibling)]
            run = Run(env, types, focus, published=True, steps=env.steps)
            try:
                return truth(closure(run, Scope(focus, [], [])))
            except FhirPathError as error:
                if error.phase == "execution":  # what can't be evaluated on this input isn't met
                    return None
                raise
            except DecimalException:  # as above: a number is out of range
                return None
            finally:
                env.steps = run.steps

        return part

    return compile_part
