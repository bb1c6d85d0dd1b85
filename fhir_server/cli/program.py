"""The command's verbs; each is a file beside this one and imports what is heavy when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_server import __version__
from fhir_server.cli import (
    audit,
    config,
    conformance,
    demo,
    doctor,
    fhirpath,
    importing,
    load,
    packages,
    sandbox,
    schema,
    serve,
    space,
    terminology,
    validate,
)

program = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fhir-server {__version__}")
        raise typer.Exit


@program.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """FHIR R4 server on MongoDB.

    Settings come from the command line, FHIR_* variables, .env and fhir-server.toml: "fhir-server config
    show".
    """


program.command("serve", epilog=serve.EPILOG)(serve.serve)
program.command("sandbox", epilog=sandbox.EPILOG)(sandbox.sandbox)
program.command("load", epilog=load.EPILOG)(load.load)
program.command("validate", epilog=validate.EPILOG)(validate.validate)
program.command("fhirpath", epilog=fhirpath.EPILOG)(fhirpath.fhirpath)
program.command("schema", epilog=schema.EPILOG)(schema.schema)
program.command("demo", epilog=demo.EPILOG)(demo.demo)
program.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)
program.add_typer(audit.program, name="audit")
program.add_typer(conformance.program, name="conformance")
program.add_typer(config.program, name="config")
program.add_typer(importing.program, name="import")
program.add_typer(packages.program, name="packages")
program.add_typer(space.program, name="space")
program.add_typer(terminology.program, name="terminology")
