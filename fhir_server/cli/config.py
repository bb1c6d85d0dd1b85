"""``fhir-server config``: what the settings are, where each comes from, and whether they hold."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from pydantic_core import to_jsonable_python

from fhir_server import settings as declared
from fhir_server.cli.options import Output

program = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Show and check the settings.",
)


@program.command(
    epilog="\b\nExamples:\n  fhir-server config show --sources\n  fhir-server config show -o json"
)
def show(
    *,
    sources: Annotated[bool, typer.Option("--sources", help="Say where each value comes from.")] = False,
    output: Output = "text",
) -> None:
    """Print every setting with its value; secrets are masked."""
    values = shown(declared.load())
    origins = declared.origins()
    if output == "json":
        rows = {
            name: {"value": value, "source": origins.get(name, "default")} for name, value in values.items()
        }
        print(json.dumps(rows if sources else values, indent=2))
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        text = f"{name:{width}}  {'' if value is None else value}"
        print(f"{text:{width + 40}}  {origins.get(name, 'default')}".rstrip() if sources else text.rstrip())


@program.command(
    epilog="\b\nExamples:\n  fhir-server config check\n  FHIR_HTTP_PORT=8081 fhir-server config check"
)
def check() -> None:
    """Check the settings of all sources; exit code 2 when one is refused."""
    declared.load()
    print("The settings are valid.")


@program.command(
    epilog="\b\nExamples:\n  fhir-server config schema\n  fhir-server config schema > fhir-server.schema.json"
)
def schema() -> None:
    """Print the JSON Schema of fhir-server.toml, for editors."""
    print(json.dumps(file_schema(), indent=2))


@program.command(hidden=True)
def docs() -> None:
    """Print the documentation page of the settings (docs/settings.md)."""
    print(page(), end="")


def shown(settings: declared.Settings) -> dict[str, Any]:
    """Return every setting's value by ``section.key`` as JSON types, secrets masked."""
    values: dict[str, Any] = {}
    for name in declared.fields():
        section, _, key = name.partition(".")
        value = getattr(getattr(settings, section), key)
        values[name] = to_jsonable_python(value)
    return values


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the settings file."""
    schema = declared.Settings.model_json_schema()
    # The default is this machine's and this user's; the description says where it is.
    schema["$defs"]["Data"]["properties"]["dir"].pop("default", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Settings of fhir-server",
        "description": "fhir-server.toml",
    }


def page() -> str:
    """Return the documentation page of all settings, Markdown."""
    lines = [
        "# Settings",
        "",
        "<!-- Made by `make docs` from fhir_server/settings/; edit there. -->",
        "",
        "Sources, strongest first: command line, environment, `.env`, `fhir-server.toml` in the working",
        "directory (or the file that `FHIR_CONFIG` names), defaults. A name that is no setting is an error.",
        "`fhir-server config show --sources` prints each value and where it comes from;",
        "`fhir-server config schema` prints a JSON Schema of the file for your editor.",
        "",
        "```toml",
        "# fhir-server.toml",
        "[http]",
        "port = 8081",
        "[search]",
        'handling = "lenient"',
        "```",
    ]
    fields = declared.fields()
    for section, model in declared.sections().items():
        lines += ["", f"## {section}", "", " ".join((model.__doc__ or "").split()), ""]
        lines += ["| setting | variable | default | what it does |", "|---|---|---|---|"]
        for name, field in fields.items():
            if name.startswith(section + "."):
                text = " ".join((field.description or "").split()).replace("|", "\\|")
                lines.append(f"| `{name}` | `{declared.variable(name)}` | {_default(name)} | {text} |")
    reserved = ", ".join(f"`{name}`" for name in sorted(declared.RESERVED))
    lines += ["", f"Other variables with this prefix: {reserved} (settings file, the build and the tests)."]
    return "\n".join(lines) + "\n"


def _default(name: str) -> str:
    if name == "data.dir":
        return "user's data directory"
    value = declared.fields()[name].get_default(call_default_factory=True)
    if value is None:
        return ""
    return f"`{json.dumps(value)}`"
