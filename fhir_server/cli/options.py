"""Options that several commands have."""

from typing import Annotated, Literal

import typer

Packages = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SOURCE",
        help="A FHIR package to know besides those installed: a .tgz, a folder, or NAME#VERSION of the cache.",
    ),
]

Output = Annotated[
    Literal["text", "json"],
    typer.Option("--output", "-o", metavar="text|json", help="Format."),
]
