"""``fhir-server packages``: which FHIR packages this server knows, more of them, or fewer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_server.cli.exits import Exit, stop
from fhir_server.cli.options import Output

if TYPE_CHECKING:
    from fhir_server.definitions.packages import PackageStore

program = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Install, list and remove FHIR packages. A running server loads them when it starts again.",
)


@program.command(
    epilog="\b\nExamples:\n  fhir-server packages install hl7.fhir.fr.core-2.2.0.tgz\n"
    "  fhir-server packages install hl7.fhir.fr.core#2.2.0"
)
def install(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="A .tgz file, a folder, or NAME#VERSION in the FHIR package cache (~/.fhir/packages).",
        ),
    ],
) -> None:
    """Install packages with what they depend on.

    Dependencies that aren't in the cache are named; validation then warns where it needs them. Exit code 2 when
    a package can't be read.
    """
    from fhir_server.outcome import FhirError

    store = _store()
    for source in sources:
        try:
            done, missing = store.install(source)
        except FhirError as refused:
            stop(Exit.USAGE, *(issue.diagnostics for issue in refused.issues))
        for label in done:
            print(f"installed {label}")
        for label in missing:
            print(f"missing   {label} (a dependency that isn't in the package cache)")


@program.command(
    "list", epilog="\b\nExamples:\n  fhir-server packages list\n  fhir-server packages list -o json"
)
def list_(
    *,
    output: Output = "text",
) -> None:
    """Print the installed packages."""
    packages = _store().installed()
    if output == "json":
        print(
            json.dumps(
                [{"name": p.name, "version": p.version, "dependencies": p.dependencies} for p in packages],
                indent=2,
            )
        )
        return
    for package in packages:
        print(package.label)


@program.command(epilog="\b\nExample:\n  fhir-server packages remove hl7.fhir.fr.core#2.2.0")
def remove(
    labels: Annotated[list[str], typer.Argument(metavar="NAME#VERSION...", help="Installed packages.")],
) -> None:
    """Remove installed packages; exit code 2 when one isn't installed."""
    from fhir_server.outcome import FhirError

    store = _store()
    for label in labels:
        try:
            store.remove(label)
        except FhirError as refused:
            stop(Exit.USAGE, *(issue.diagnostics for issue in refused.issues))
        print(f"removed {label}")


def _store() -> PackageStore:
    from fhir_server.definitions.packages import PackageStore
    from fhir_server.settings import load, packages_folder

    return PackageStore(packages_folder(load()))
