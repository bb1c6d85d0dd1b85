"""``fhir-server fhirpath``: an expression, evaluated on resources in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    from fhir_server.cli.sources import Document
    from fhir_server.datatypes.xml_format import XmlFormat
    from fhir_server.definitions import TypeModel
    from fhir_server.validation import Validator

#: Steps that one expression may take on one resource: some seconds.
MAX_STEPS = 1_000_000
EPILOG = """\b
Examples:
  fhir-server fhirpath 'name.given.first()' patient.json
  fhir-server fhirpath 'Observation.value.ofType(Quantity).value > 100' examples/
"""


def fhirpath(
    *,
    expression: Annotated[str, typer.Argument(metavar="EXPR", help="The FHIRPath expression.")],
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="As for validate; without any: standard input."),
    ] = None,
    names: Annotated[
        bool, typer.Option("--names/--no-names", help="Print the file and line before each result.")
    ] = False,
) -> None:
    """Evaluate a FHIRPath expression on each resource; print the results as JSON, one a line.

    Names that the resource's type doesn't have are errors, unless the expression begins with the name of another type.
    Exit code 1 when a resource can't be read or the expression can't be evaluated on it, 2 when the expression is
    malformed.
    """
    from fhir_server.cli.sources import STDIN, WITH_XML, documents, sources
    from fhir_server.datatypes.xml_format import XmlFormat
    from fhir_server.definitions import Definitions
    from fhir_server.fhirpath import FhirPathError, parse
    from fhir_server.terminology import CodeSets
    from fhir_server.validation import Validator

    try:
        parse(expression)
        files = sources(paths or [STDIN], WITH_XML)
    except FhirPathError as refused:
        stop(Exit.USAGE, refused.issues[0].diagnostics)
    except (FileNotFoundError, ValueError) as reason:
        stop(Exit.USAGE, str(reason))
    definitions = Definitions()
    types = definitions.types
    validator = Validator(definitions, CodeSets(definitions))
    evaluated = _Evaluation(expression, types, XmlFormat(types), validator)
    failed = False
    for file in files:
        try:
            for document in documents(file):
                failed |= not evaluated.on(document, names=names)
        except BrokenPipeError:
            raise
        except (OSError, EOFError) as reason:
            stop(Exit.FINDINGS, f"{file} can't be read: {reason}")
    raise typer.Exit(int(Exit.FINDINGS if failed else Exit.DONE))


class _Evaluation:
    """The expression, compiled for each resource type that comes along."""

    def __init__(self, expression: str, types: TypeModel, xml: XmlFormat, validator: Validator) -> None:
        self._expression = expression
        self._types = types
        self._xml = xml
        self._validator = validator
        self._compiled: dict[str, Any] = {}
        self._told: set[str] = set()

    def on(self, document: Document, *, names: bool) -> bool:
        """Print the results on one document; say why and return False when there are none to be had."""
        import sys

        from fhir_server.datatypes.json_format import encode
        from fhir_server.outcome import FhirError

        place = f"{document.source}:{document.line}"
        try:
            resource = self._read(document.body)
            env = self._validator.environment(resource)
            env.steps = MAX_STEPS
            found = self._of_type(resource.get("resourceType")).evaluate(resource, env)
        except FhirError as refused:
            text = refused.issues[0].diagnostics
            if text not in self._told:  # what is wrong for a type is wrong for all of its resources
                self._told.add(text)
                print(f"{place}: {text}", file=sys.stderr)
            return False
        for value in found:
            text = encode(_plain(value)).decode()
            print(f"{place}: {text}" if names else text)
        return True

    def _read(self, body: bytes) -> dict[str, Any]:
        from fhir_server.datatypes.json_format import decode

        is_xml = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"
        return self._xml.decode(body) if is_xml else decode(body)

    def _of_type(self, name: Any) -> Any:
        from fhir_server.fhirpath import compile_expression
        from fhir_server.outcome import error

        if not isinstance(name, str) or name not in self._types.resource_type_names:
            raise error("structure", "This is no resource of R4: its resourceType is missing or unknown.")
        if name not in self._compiled:
            # One that begins with a type speaks of that type only: it is empty on others, not an error.
            first = self._expression.lstrip("( ").partition(".")[0]
            checked = first == name or first not in self._types.resource_type_names
            self._compiled[name] = compile_expression(self._expression, self._types, name, checked=checked)
        return self._compiled[name]


def _plain(value: Any) -> Any:
    """Return a result as JSON has it: dates and quantities that were calculated become text."""
    from decimal import Decimal

    return value if isinstance(value, dict | list | str | int | bool | Decimal) else str(value)
