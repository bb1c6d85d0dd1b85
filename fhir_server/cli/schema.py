"""``fhir-server schema``: the JSON Schema of a type or profile."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_server.cli.exits import Exit, stop
from fhir_server.cli.options import Packages

EPILOG = """\b
Examples:
  fhir-server schema Observation > observation.schema.json
  fhir-server schema Bundle --full
"""


def schema(
    *,
    name: Annotated[
        str,
        typer.Argument(
            metavar="TYPE|URL",
            help="A type, such as Patient, or the address of a profile: url or url|version.",
        ),
    ],
    package: Packages = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full/--no-full",
            help="Describe resources inside resources too (contained, entries): about 1 MB.",
        ),
    ] = False,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a type of R4 or a profile, to validate offline in any language.

    Exit code 2 when there is no such type, profile or package.
    """
    import json

    from fhir_server.cli.judging import Judge, Task
    from fhir_server.outcome import FhirError
    from fhir_server.validation.json_schema import json_schema

    try:
        judge = Judge(Task(packages=tuple(package or ())))
        found = json_schema(judge.definitions, judge.code_sets, name, full=full)
    except FhirError as refused:
        stop(Exit.USAGE, refused.issues[0].diagnostics)
    print(json.dumps(found, ensure_ascii=False, indent=1))
