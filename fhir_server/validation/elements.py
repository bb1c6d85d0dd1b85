"""The handler of one element: its type, cardinality, binding, reference targets, slices and own invariants.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fhir_server.messages import alternatives, say
from fhir_server.validation.handlers import (
    any_of,
    both,
    constrained,
    never,
    prohibited,
    unchecked,
    with_value,
)
from fhir_server.validation.profile_schema import read_facets
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import JUDGED, Findings, Run
from fhir_server.validation.rules import (
    binding,
    cardinality,
    coding,
    contained,
    narrative_language,
    primitive,
)
from fhir_server.validation.rules.extension import Extensions
from fhir_server.validation.rules.reference import References
from fhir_server.validation.rules.system import URIS
from fhir_server.validation.rules.value import with_facets
from fhir_server.validation.schema import (
    ElementSchema,
    ElementType,
    NodeSchema,
    constraints,
    type_profiles,
)
from fhir_server.validation.slicing import group_of, sliced_list, sliced_single

if TYPE_CHECKING:
    from fhir_server.validation.compiler import Compiler

#: The types whose values may be bound to a value set.
_CODED = frozenset(
    {"code", "string", "uri", "url", "canonical", "Coding", "CodeableConcept", "Quantity", "id", "markdown"}
)


class Elements:
    """Makes the handlers of elements for the compiler."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        types = compiler.resource_types
        self._references = References(types)
        policy = compiler.policy
        self.extensions = Extensions(
            compiler,
            unknown=policy.unknown_extension,
            unknown_modifier=policy.unknown_modifier_extension,
        )
        choose = self._choose
        self._resource = contained.resource(types, choose, is_contained=False)
        self._contained = contained.resource(types, choose, is_contained=True)

    def _choose(self, value: dict[str, Any], name: str, _run: Run) -> Handler:
        return self._compiler.claims.handler(value, name)

    def builder(
        self, structure: str, schema: NodeSchema, element: ElementSchema, type_: ElementType | None, key: str
    ) -> Callable[[], Handler]:
        """Return what makes the handler of one property of a node."""
        if element.is_prohibited:
            return lambda: prohibited
        if element.slicing is not None:
            return lambda: self._sliced(structure, schema, element, type_, key)
        if self._is_scalar(type_) and not element.node:
            return lambda: self._scalars(structure, schema, element, type_, key)
        return lambda: self._repeated(self._item(structure, schema, element, type_, key), element)

    def sibling_builder(self, structure: str, element: ElementSchema, key: str) -> Callable[[], Handler]:
        """Return what makes the handler of the ids and extensions of a primitive."""
        if element.is_prohibited:
            return lambda: prohibited
        if element.is_list:
            return lambda: cardinality.sibling_of_list(self._sibling(structure, element), element)
        single = cardinality.sibling_of_single
        return lambda: with_value(single(self._sibling(structure, element), key), element, key)

    def _sibling(self, structure: str, element: ElementSchema) -> Handler:
        if element.sibling_node:
            return self._compiler.node(structure, element.sibling_node)
        return self._compiler.function("Element")

    def _is_scalar(self, type_: ElementType | None) -> bool:
        return type_ is not None and (self._compiler.is_primitive(type_) or type_.code == "element-id")

    def _scalars(
        self, structure: str, schema: NodeSchema, element: ElementSchema, type_: ElementType | None, key: str
    ) -> Handler:
        """Return the handler of a primitive element: the plain ones take a shorter way."""
        assert type_ is not None
        if not element.is_list:
            return self._item(structure, schema, element, type_, key)
        is_plain = element.facets is None and type_.code not in URIS
        if is_plain and not element.constraints and element.strength == "required":
            test = self._test(element, type_)
            if test is not None:
                return cardinality.list_of_scalars(test[0], element)
        return cardinality.list_of_values(self._item(structure, schema, element, type_, key), element)

    def _test(self, element: ElementSchema, type_: ElementType) -> tuple[primitive.Scalar, str] | None:
        """Return the test of a primitive's value and how to make it fast; None if its binding needs more."""
        if not element.value_set or element.strength != "required":
            return primitive.scalar(type_.code), type_.code
        code_set = self._code_set(element)
        if code_set is None:
            return None
        return binding.bound_code(type_.code, code_set, element.value_set), ""

    def _item(
        self, structure: str, schema: NodeSchema, element: ElementSchema, type_: ElementType | None, key: str
    ) -> Handler:
        """Return the handler of one value."""
        if self._is_scalar(type_) and not element.node:
            assert type_ is not None
            handler = self._scalar(element, type_)
        elif type_ is None:
            handler = self._compiler.node(element.owner or structure, element.node)
            for url in self._backbone_profiles(element):
                handler = both(handler, self._compiler.function(url))
        else:
            handler = self._typed(structure, schema, element, type_)
        if element.facets is not None:
            handler = with_facets(handler, element.facets)
        if element.sibling_node and not element.is_list:
            handler = self._with_extensions(structure, element, handler, key)
        type_name = type_.code if type_ is not None else self._node_type(structure, element)
        own = self._compiler.invariants.on_element(
            element.constraints, type_name, key if not element.is_list else ""
        )
        return constrained(handler, own)

    def _with_extensions(self, structure: str, element: ElementSchema, handler: Handler, key: str) -> Handler:
        """Return the handler of a primitive that must also have the extensions that a profile demands."""
        node = self._compiler.schema(structure, element.sibling_node)
        needed = [e.name for e in node.elements if e.minimum > 0]
        sibling = f"_{key}"

        def with_extensions(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            found = handler(value, parent, run)
            if not needed or sibling in parent:
                return found
            text = say(
                "{name} must have the {needed} that the profile demands: add {sibling}.",
                name=element.name,
                needed=needed[0],
                sibling=sibling,
            )
            return [*(found or ()), *run.error("required", text, "cardinality@")]

        return with_extensions

    def _backbone_profiles(self, element: ElementSchema) -> list[str]:
        types = element.element.definition.get("type", ()) if element.element is not None else ()
        return [p for t in types for p in type_profiles(t) if self._compiler.is_known(p)]

    def _node_type(self, structure: str, element: ElementSchema) -> str:
        return self._compiler.schema(element.owner or structure, element.node).type_name

    def _scalar(self, element: ElementSchema, type_: ElementType) -> Handler:
        if type_.code in primitive.SPECIAL and element.path != "ElementDefinition.id":
            return primitive.SPECIAL[type_.code]
        found = self._test(element, type_)
        handler = primitive.single(*(found or (primitive.scalar(type_.code), type_.code)))
        for profile in type_.profiles:
            if self._compiler.is_known(profile):
                handler = both(handler, self._compiler.function(profile))
        return self._weighed(handler, element, type_.code, is_done=found is not None)

    def primitive_profile(self, url: str) -> Handler:
        """Return the handler of a value by a profile on a primitive type."""
        root = self._compiler.profile_tree(url)
        name = self._compiler.base_of(url)
        handler = primitive.single(primitive.scalar(name), name)
        if root is None or url == name:
            return handler
        for element in (root, root.children.get("value")):
            facets = read_facets(element) if element is not None else None
            if facets is not None:
                handler = with_facets(handler, facets)
        own = tuple(c for c in constraints(root.definition) if c.key != "ele-1")
        return constrained(handler, self._compiler.invariants.on_element(own, name))

    def _weighed(self, handler: Handler, element: ElementSchema, type_code: str, *, is_done: bool) -> Handler:
        """Return the handler with the bindings that aren't checked yet."""
        if type_code not in _CODED:
            return handler
        if element.value_set and not (is_done and element.strength == "required"):
            member = self._membership(element.value_set)
            handler = binding.weighed(handler, type_code, element.value_set, element.strength, member)
        if element.max_value_set:
            member = self._membership(element.max_value_set)
            handler = binding.weighed(handler, type_code, element.max_value_set, "max", member)
        return handler

    def _membership(self, value_set: str) -> binding.Membership:
        membership = self._compiler.code_sets.membership
        return lambda system, code: membership(value_set, system, code)

    def member(self, coded: Any, type_name: str, value_set: str) -> bool | None:
        """Tell whether a coded value is in a value set; None when it isn't known."""
        return binding.membership(coded, type_name, self._membership(value_set))

    def subsumes(self, system: str, parent: str, child: str) -> bool | None:
        """Tell whether a code is, or is above, another; None when it isn't known."""
        return self._compiler.code_sets.subsumes(system, parent, child)

    def has_member(self, value: Any, value_set: str) -> bool | None:
        """Tell whether a code, Coding or CodeableConcept is in a value set; None when it isn't known."""
        is_concept = type(value) is dict and ("coding" in value or "text" in value)
        return self.member(value, "CodeableConcept" if is_concept else "Coding", value_set)

    def _typed(
        self, structure: str, schema: NodeSchema, element: ElementSchema, type_: ElementType
    ) -> Handler:
        """Return the handler of one object of a datatype or resource, or one that is defined inline."""
        compiler = self._compiler
        info = compiler.types.type(type_.code)
        if info is not None and info.kind == "resource":
            return self._resources(structure, element)
        handler = (
            self._extension(schema, element, type_) if type_.code == "Extension" else self._profiled(type_)
        )
        if type_.code in {"Coding", "Quantity"}:
            handler = coding.known_in_system(handler, compiler.code_sets.displays)
        if type_.code == "Narrative" and element.element is not None:
            asked = narrative_language.controls(element.element.definition)
            handler = narrative_language.with_languages(handler, asked) if asked else handler
        if element.node:
            inline = compiler.node(element.owner or structure, element.node)
            handler = both(handler, inline) if type_.profiles else inline
        if type_.code in {"Reference", "canonical", "CodeableReference"}:
            handler = self._pointing(handler, type_)
        if not element.value_set and not element.max_value_set:
            return handler
        is_done = False
        if element.value_set and element.strength == "required" and type_.code in _CODED:
            code_set = self._code_set(element)
            if code_set is not None:
                bound = binding.bound_concept if type_.code == "CodeableConcept" else binding.bound_coding
                handler, is_done = bound(handler, code_set, element.value_set), True
        return self._weighed(handler, element, type_.code, is_done=is_done)

    def _extension(self, schema: NodeSchema, element: ElementSchema, type_: ElementType) -> Handler:
        profile = type_.profiles[0] if len(type_.profiles) == 1 else ""
        place = f"{schema.type_name}.{element.name}"
        known = profile if profile and self._compiler.is_known(profile) else ""
        return self.extensions.site(place, known, is_modifier=element.name == "modifierExtension")

    def _profiled(self, type_: ElementType) -> Handler:
        """Return the function of a datatype, or of the profiles on it of which one must be kept."""
        plain = self._compiler.function(type_.code)
        return self._conforming(type_.profiles, plain) if type_.profiles else plain

    def _conforming(self, profiles: Iterable[str], plain: Handler) -> Handler:
        """Return the handler of a value that must keep one of the profiles; ``plain`` stands for unknown ones."""
        known = [p for p in profiles if self._compiler.is_known(p)]
        unknown = [p for p in profiles if p not in known]
        checks = [self._compiler.function(p) for p in known]
        if unknown:
            checks.append(self._unchecked(plain, unknown, is_all=not known))
        return checks[0] if len(checks) == 1 else any_of(tuple(checks), ", ".join(known))

    def _unchecked(self, handler: Handler, profiles: list[str], *, is_all: bool = False) -> Handler:
        severity = self._compiler.policy.unknown_profile
        # Where a value could be judged by no profile at all, the verdict can't be that it is right.
        severity = JUDGED if is_all and severity == "warning" else severity
        return unchecked(handler, ", ".join(profiles), severity)

    def _resources(self, structure: str, element: ElementSchema) -> Handler:
        compiler = self._compiler
        is_contained = element.path.endswith(".contained")
        profiles = {t.code: t.profiles for t in element.types}
        # A node is inline for a resource only if its type is a concrete one.
        if profiles.keys() <= {"Resource", "DomainResource"} and not any(profiles.values()):
            return self._contained if is_contained else self._resource

        def choose(value: dict[str, Any], name: str, run: Run) -> Handler:
            allowed = [c for c in profiles if compiler.types.is_subtype(name, c)]
            if not allowed:
                names = alternatives(profiles)
                problem = run.error("structure", say("The resource must be a {names}.", names=names), "type@")
                return lambda *_: problem
            handler = compiler.claims.handler(value, name)
            wanted = [p for c in allowed for p in profiles[c]]
            if wanted:
                handler = both(self._conforming(wanted, never), handler)
            if element.node and not element.owner:
                handler = both(compiler.node(structure, element.node), handler)
            return handler

        return contained.resource(compiler.resource_types, choose, is_contained=is_contained)

    def _pointing(self, handler: Handler, type_: ElementType) -> Handler:
        """Return the handler of a Reference with the rules on what it points to."""
        compiler = self._compiler
        if type_.code != "Reference":
            return handler
        if type_.targets:
            bases = tuple(compiler.base_of(t) for t in type_.targets)
            if all(bases) and "Resource" not in bases:
                handler = self._references.limited(handler, tuple(dict.fromkeys(bases)))
            unknown = [t for b, t in zip(bases, type_.targets, strict=True) if not b]
            if unknown:
                handler = self._unchecked(handler, unknown)
            elif any(b != t for b, t in zip(bases, type_.targets, strict=True)):
                handler = self._references.conforming(
                    handler, type_.targets, compiler.resolved, compiler.conforms
                )
        if type_.aggregation or type_.versioning:
            handler = self._references.placed(handler, type_.aggregation, type_.versioning)
        return handler

    def _code_set(self, element: ElementSchema) -> Any:
        code_set = self._compiler.code_sets.codes(element.value_set)
        if code_set is None:
            self._compiler.unbound.append((element.path, element.value_set))
        return code_set

    def _repeated(self, item: Handler, element: ElementSchema) -> Handler:
        return cardinality.list_of(item, element) if element.is_list else item

    def _sliced(
        self, structure: str, schema: NodeSchema, element: ElementSchema, type_: ElementType | None, key: str
    ) -> Handler:
        def item(inner: ElementSchema, own: ElementType | None) -> Handler:
            return prohibited if inner.is_prohibited else self._item(structure, schema, inner, own, key)

        group = group_of(element, type_, item, self._compiler)
        generic = self._item(structure, schema, element, type_, key)
        if not element.is_list:
            return sliced_single(group, generic)
        return sliced_list(group, generic, f"_{key}", element, cardinality.limit_of(element))
