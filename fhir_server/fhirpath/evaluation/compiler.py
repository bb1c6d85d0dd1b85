"""Trees become closures."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.evaluation.items import Items, Node, children_named, system
from fhir_server.fhirpath.evaluation.run import Closure, Run, Scope, fail, single, truth
from fhir_server.fhirpath.functions import EXPRESSIONS, VALUES, filtering
from fhir_server.fhirpath.operators import OPERATORS, boolean
from fhir_server.fhirpath.operators.math import negate
from fhir_server.fhirpath.operators.types import TYPE_OPERATORS, check_type
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
    Unary,
    Variable,
    type_specifier,
)
from fhir_server.fhirpath.variables import fixed_variable


def compile_tree(tree: Tree, types: Types, *, published: bool = False) -> Closure:
    """Return a closure over (run, scope); raises FhirPathError for unknown functions, arities and types."""
    return _Compiler(types, published=published).compile(tree)


class _Compiler:
    def __init__(self, types: Types, *, published: bool) -> None:
        self._types = types
        self._published = published

    def compile(self, tree: Tree) -> Closure:
        match tree:
            case Literal(value):
                return _constant([value])
            case Empty():
                return _constant([])
            case Special(name):
                return {"this": _this, "index": _index, "total": _total}[name]
            case Variable(name):
                return _variable(name)
            case Member(None, name):
                return self._start(name)
            case Member(source, name) if source is not None:
                return self._member(self.compile(source), name)
            case Call():
                return self._call(tree)
            case Index(source, index):
                return _indexed(self.compile(source), self.compile(index))
            case Unary(operator, operand):
                return _unary(operator, self.compile(operand))
            case Binary(operator, left, right):
                return _binary(operator, self.compile(left), self.compile(right))
            case TypeOperation(operator, operand, type_name):
                return self._type_operation(operator, self.compile(operand), type_name)
        raise AssertionError(tree)

    def _start(self, name: str) -> Closure:
        """Start a path: at an element or, for a type name, at the focus itself if it is of that type."""
        if not name[:1].isupper():
            return self._member(_this, name)
        types = self._types

        def start(_run: Run, scope: Scope) -> Items:
            return [i for i in scope.this if isinstance(i, Node) and types.is_subtype(i.type, name)]

        return start

    def _member(self, source: Closure, name: str) -> Closure:
        types = self._types

        def member(run: Run, scope: Scope) -> Items:
            items = source(run, scope)
            if len(items) == 1:
                found = children_named(items[0], name, types)
            else:
                found = [child for item in items for child in children_named(item, name, types)]
            run.spend(len(found) + 1)
            return found

        return member

    def _call(self, call: Call) -> Closure:
        source = _this if call.source is None else self.compile(call.source)
        name, arguments = call.name, call.arguments
        if name in TYPE_OPERATORS:
            return self._type_call(call, source)
        if name == "sort":
            return self._sort(source, arguments)
        table = EXPRESSIONS if name in EXPRESSIONS else VALUES
        if name not in table:
            raise FhirPathError("semantic", f"there is no function {name}()", call.position)
        function, arity = table[name]
        if len(arguments) not in (arity if isinstance(arity, tuple) else (arity,)):
            raise FhirPathError(
                "semantic", f"{name}() doesn't take {len(arguments)} argument(s)", call.position
            )
        closures = [self.compile(a) for a in arguments]
        if table is EXPRESSIONS:
            return _on_expressions(function, source, closures)
        return _on_values(function, source, closures)

    def _type_call(self, call: Call, source: Closure) -> Closure:
        name = type_specifier(call.arguments[0]) if len(call.arguments) == 1 else None
        if name is None:
            raise FhirPathError("semantic", f"{call.name}() takes the name of a type", call.position)
        return self._type_operation(call.name, source, name)

    def _type_operation(self, operator: str, source: Closure, type_name: str) -> Closure:
        if not self._published:
            check_type(type_name, self._types)
        apply = TYPE_OPERATORS[operator]
        return lambda run, scope: apply(run, source(run, scope), type_name)

    def _sort(self, source: Closure, arguments: tuple[Tree, ...]) -> Closure:
        keys = [
            (self.compile(a.operand), True)
            if isinstance(a, Unary) and a.operator == "-"
            else (self.compile(a), False)
            for a in arguments
        ]
        return lambda run, scope: filtering.sort(run, source(run, scope), scope, *keys)


def _constant(items: Items) -> Closure:
    return lambda _run, _scope: items


def _this(_run: Run, scope: Scope) -> Items:
    return scope.this


def _index(_run: Run, scope: Scope) -> Items:
    return scope.index


def _total(_run: Run, scope: Scope) -> Items:
    return scope.total


def _variable(name: str) -> Closure:
    if name == "context":
        return lambda run, _scope: run.context
    if name in {"resource", "rootResource"}:
        attribute = "resource" if name == "resource" else "root_resource"
        return lambda run, _scope: _resource(getattr(run.env, attribute))
    fixed = fixed_variable(name)
    if fixed is not None:
        return _constant([fixed])

    def look_up(run: Run, _scope: Scope) -> Items:
        if name not in run.env.variables:
            raise fail(f"there is no variable %{name}")
        value = run.env.variables[name]
        return [_item(v) for v in (value if isinstance(value, list) else [value]) if v is not None]

    return look_up


def _resource(resource: dict[str, Any] | None) -> Items:
    return [] if resource is None else [Node(resource, str(resource.get("resourceType")))]


def _item(value: Any) -> Any:
    if isinstance(value, dict):
        return Node(value, str(value.get("resourceType", "Element")))
    return value


def _indexed(source: Closure, index: Closure) -> Closure:
    def indexed(run: Run, scope: Scope) -> Items:
        items = source(run, scope)
        position = system(single(index(run, scope), "an index")) if items else None
        if position is None:
            return []
        if not isinstance(position, int) or isinstance(position, bool):
            raise fail("an index must be an Integer")
        return items[position : position + 1] if position >= 0 else []

    return indexed


def _unary(operator: str, operand: Closure) -> Closure:
    if operator == "-":
        return lambda run, scope: negate(operand(run, scope))
    return operand


def _binary(operator: str, left: Closure, right: Closure) -> Closure:
    lazy = boolean.LAZY.get(operator)
    if lazy is not None:

        def logic(run: Run, scope: Scope) -> Items:
            result = lazy(truth(left(run, scope)), lambda: truth(right(run, scope)))
            return [] if result is None else [result]

        return logic
    apply = OPERATORS[operator]

    def operation(run: Run, scope: Scope) -> Items:
        run.spend(1)
        return apply(run, left(run, scope), right(run, scope))

    return operation


def _on_values(function: Any, source: Closure, arguments: list[Closure]) -> Closure:
    def call(run: Run, scope: Scope) -> Items:
        items = source(run, scope)
        run.spend(len(items) + 1)
        found: Items = function(run, items, *[a(run, scope) for a in arguments])
        return found

    return call


def _on_expressions(function: Any, source: Closure, arguments: list[Closure]) -> Closure:
    def call(run: Run, scope: Scope) -> Items:
        items = source(run, scope)
        run.spend(len(items) + 1)
        found: Items = function(run, items, scope, *arguments)
        return found

    return call
