"""Walks the tree and puts the snippets together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath.functions.conversion import integer, string
from fhir_server.fhirpath.generation import comparisons, functions, logic, paths, runtime
from fhir_server.fhirpath.generation.shapes import UNKNOWN, Alt, Bool, Coll, Shape, Unsupported, Val
from fhir_server.fhirpath.protocols import Types
from fhir_server.fhirpath.tree import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Special,
    Tree,
    TypeOperation,
    Variable,
)
from fhir_server.fhirpath.variables import fixed_variable

Fallback = Callable[[Tree, str], Callable[..., Any]]

_SYSTEM_TYPES = {bool: "Boolean", int: "Integer", str: "String"}


class Emitter:
    """Compiles the parts of one expression; ``namespace`` holds what the source refers to."""

    def __init__(self, types: Types, type_name: str, fallback: Fallback | None = None) -> None:
        self.types = types
        self.type_name = type_name
        #: Paths that no type has, as ``Type.name``.
        self.unknown: list[str] = []
        #: Local variables that the function sets first, with the attribute of Env that each holds.
        self.prologue: dict[str, str] = {}
        self.namespace: dict[str, Any] = {
            "NOTHING": runtime.NOTHING,
            "ONE": (None,),
            "NOT_ZERO": (-1, 1),
            "to_integer": integer,
            "to_string": string,
            **_of_types(types),
            **{name: getattr(runtime, name) for name in _RUNTIME},
        }
        self._fallback = fallback
        self._variables = 0
        self._hoists: list[dict[str, str]] = []
        self.root = Alt(type_name, value="n", sibling="s" if paths.is_primitive(self, type_name) else "")

    def variable(self) -> str:
        """Return a fresh loop variable."""
        self._variables += 1
        return f"v{self._variables}"

    def constant(self, value: Any) -> str:
        """Return the source of a constant: its repr for plain values, a name in the namespace otherwise."""
        if value is None or isinstance(value, bool | int | str):
            return repr(value)
        name = f"K{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def compile(self, tree: Tree, focus: Alt) -> Shape:
        """Return the shape of a sub-expression on a focus; raises Unsupported."""
        match tree:
            case Literal(value):
                return self._literal(value)
            case Empty():
                return Coll(())
            case Member(None, name):
                return self._start(name, focus)
            case Member(source, name) if source is not None:
                return paths.step(self, self.collection(source, focus), name)
            case Special("this"):
                return Coll((focus,))
            case Variable(name):
                return self._variable(name)
            case Call(_, name, arguments):
                function = functions.FUNCTIONS.get((name, len(arguments)))
                if function is None:
                    raise Unsupported
                return function(self, tree, focus)
            case Index(source, Literal(int(index))):
                return functions.nth(self, self.collection(source, focus), index)
            case TypeOperation(operator, operand, type_name):
                collection = self.collection(operand, focus)
                if operator == "is":
                    return functions.is_type(self, collection, type_name)
                return functions.of_type(self, collection, type_name)
            case Binary(operator, _, _):
                compile_operator = logic.OPERATORS.get(operator) or comparisons.OPERATORS.get(operator)
                if compile_operator is None:
                    raise Unsupported
                return compile_operator(self, tree, focus)
        raise Unsupported

    def collection(self, tree: Tree | None, focus: Alt) -> Coll:
        """Return a sub-expression as collection; None is the focus itself."""
        if tree is None:
            return Coll((focus,))
        return paths.as_collection(self, self.compile(tree, focus))

    def truth(self, tree: Tree, focus: Alt) -> Bool:
        """Return a sub-expression as truth value; what isn't supported is left to the interpreter."""
        before = len(self.unknown)
        try:
            return logic.as_truth(self, self.compile(tree, focus))
        except Unsupported:
            del self.unknown[before:]
            if self._fallback is None or focus.type == UNKNOWN:
                raise
            part = self.constant(self._fallback(tree, focus.type))
            call = f"{part}({focus.value}, {focus.sibling or None}, env)"
            return Bool(f"({call} is True)", f"({call} is False)")

    def scope(self) -> dict[str, str]:
        """Open a loop in which ``hoisted`` may move loop-free expressions before the loop."""
        scope: dict[str, str] = {}
        self._hoists.append(scope)
        return scope

    def close(self) -> None:
        """Close the innermost loop."""
        self._hoists.pop()

    def hoisted(self, source: str) -> str:
        """Return a variable for the value of a costly expression, computed before the outermost loop."""
        if not self._hoists or paths.mentions_loop(source):
            return source
        scope = self._hoists[0]
        if source not in scope:
            scope[source] = f"h{self._variables}_{len(scope)}"
        return scope[source]

    def _literal(self, value: Any) -> Shape:
        if isinstance(value, bool):
            return Bool(str(value), str(not value), definite=True)
        type_ = _SYSTEM_TYPES.get(type(value)) or comparisons.system_type(value)
        return Val(self.constant(value), type_, nullable=False)

    def _start(self, name: str, focus: Alt) -> Coll:
        if name[:1].isupper() and focus.type != UNKNOWN:
            if self.types.is_subtype(focus.type, name):
                return Coll((focus,))
            if self.types.type(name) is not None:
                return Coll(())
        return paths.step(self, Coll((focus,)), name)

    def _variable(self, name: str) -> Shape:
        if name == "context":
            return Coll((self.root,))
        if name in {"resource", "rootResource"}:
            own = name == "resource" and not self.type_name.partition(".")[0].islower()
            owner = self.type_name.partition(".")[0]
            info = self.types.type(owner)
            known = own and info is not None and info.kind == "resource"
            local = "r" if name == "resource" else "rr"
            self.prologue[local] = "resource" if name == "resource" else "root_resource"
            return Coll((Alt(owner if known else "Resource", value=local),))
        fixed = fixed_variable(name)
        if fixed is None:
            raise Unsupported
        return Val(repr(fixed), "String", nullable=False)


_RUNTIME = (
    "primitives", "distinct", "is_distinct", "intersect", "first", "lists_equal", "compare_dates",
    "compare_times", "compare_quantities", "substring",
    "count_children", "refers_to",
)  # fmt: skip

_SHARED: dict[int, dict[str, Any]] = {}


def _of_types(types: Types) -> dict[str, Any]:
    """Return the functions that know a type model, one set for each model."""
    if id(types) not in _SHARED:
        _SHARED[id(types)] = {
            "types": types,  # keeps the model alive, so that its id stays its own
            "walk": runtime.walker(types),
            "kids": runtime.children_by_name(types),
        }
    return _SHARED[id(types)]
