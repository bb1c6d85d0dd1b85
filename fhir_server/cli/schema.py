"""``fhir-server schema``: the JSON Schema of a type."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_server.cli.exits import Exit, stop

EPILOG = """\b
Examples:
  fhir-server schema Observation > observation.schema.json
  fhir-server schema Bundle --full
"""


def schema(
    *,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="A resource or data type, such as Patient.")],
    full: Annotated[
        bool,
        typer.Option(
            "--full/--no-full",
            help="Describe resources inside resources too (contained, entries): about 1 MB.",
        ),
    ] = False,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a base type of R4, to validate offline in any language."""
    import json

    from fhir_server.definitions import Definitions
    from fhir_server.outcome import FhirError
    from fhir_server.terminology import CodeSets
    from fhir_server.validation.json_schema import json_schema

    definitions = Definitions()
    try:
        found = json_schema(definitions, CodeSets(definitions), type_, full=full)
    except FhirError as refused:
        stop(Exit.USAGE, refused.issues[0].diagnostics)
    print(json.dumps(found, ensure_ascii=False, indent=1))
