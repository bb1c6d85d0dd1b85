"""Settings from all sources, or every complaint about them at once."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import TomlConfigSettingsSource

from fhir_server.settings.section import Section
from fhir_server.settings.sources import (
    PREFIX,
    Environment,
    EnvironmentFile,
    SecretFiles,
    Settings,
    file_variable,
    is_secret,
    settings_file,
)

#: Environment variables that start with the prefix and are no settings: the test suites' folder, the build's
#: package, and the path of the settings file.
RESERVED = frozenset({"FHIR_SUITES", "FHIR_CORE_PACKAGE", "FHIR_CONFIG"})


class SettingsError(Exception):
    """The settings can't be used.

    ``complaints`` are sentences that name the setting, its source and the remedy.
    """

    def __init__(self, complaints: Iterable[str]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(self.complaints))


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of all sources.

    ``flags`` are the command line's: ``{"http.port": 8081}``; None means that the flag was not given. Raises
    SettingsError with all complaints at once: unknown names, values that are refused, an unreadable file.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    complaints = [*_unknown_variables(), *_no_json(), *_unreadable_file(), *_unusable_secrets()]
    if complaints:
        raise SettingsError(complaints)
    try:
        return Settings(**_nested(given))  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as refused:
        raise SettingsError(_complaint(error, origins(given)) for error in refused.errors()) from None


def origins(flags: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return where each setting that isn't the default comes from.

    For example ``{"http.port": "environment FHIR_HTTP_PORT"}``.
    """
    found: dict[str, str] = {}
    file = settings_file()
    for source, values in (
        (str(file), _flat(TomlConfigSettingsSource(Settings, toml_file=file)())),
        (".env", _flat(EnvironmentFile(Settings)())),
        ("environment", _flat(Environment(Settings)())),
    ):
        found.update(
            (name, source if source == str(file) else f"{source} {variable(name)}") for name in values
        )
    found.update((name, f"file of {file_variable(name)}") for name in _flat(SecretFiles(Settings)()))
    found.update((name, "command line") for name, value in (flags or {}).items() if value is not None)
    return found


def fields() -> dict[str, FieldInfo]:
    """Return every setting's declaration by ``section.key``, in order; ``description`` documents it."""
    return {
        f"{section}.{key}": field
        for section in sections()
        for key, field in sections()[section].model_fields.items()
    }


def sections() -> dict[str, type[Section]]:
    """Return the sections' models by name; their docstrings say what each section is about."""
    found: dict[str, type[Section]] = {}
    for name, field in Settings.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, Section)
        found[name] = field.annotation
    return found


def variable(name: str) -> str:
    """Return the environment variable of a setting: ``http.port`` -> ``FHIR_HTTP_PORT``."""
    return PREFIX + name.replace(".", "_").upper()


def _unknown_variables() -> list[str]:
    files = {file_variable(name) for name, field in fields().items() if is_secret(field)}
    known = {variable(name) for name in fields()} | RESERVED | files
    found: list[str] = []
    in_file = EnvironmentFile(Settings).env_vars
    for source, variables in (("environment", os.environ), (".env", in_file)):
        names = sorted({name.upper() for name in variables if name.upper().startswith(PREFIX)} - known)
        found += [f"{name} ({source}) is no setting of this server.{_closest(name, known)}" for name in names]
    return found


def _no_json() -> list[str]:
    """Return complaints about variables of settings that have parts, which a variable holds as JSON."""
    found: list[str] = []
    for name in ("auth.issuers", "auth.smart"):
        try:
            json.loads(os.environ.get(variable(name)) or "null")
        except ValueError as problem:
            found.append(f"{variable(name)} (environment) must be JSON: {problem}.")
    return found


def _unreadable_file() -> list[str]:
    file = settings_file()
    if not file.exists():
        return [f"FHIR_CONFIG names {file}, which doesn't exist."] if os.environ.get("FHIR_CONFIG") else []
    try:
        tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        return [f"{file} can't be read as TOML: {reason}."]
    return []


def _unusable_secrets() -> list[str]:
    """Return complaints about secrets in files: a file that can't be read, or a secret that is given twice."""
    found: list[str] = []
    for name in (name for name, field in fields().items() if is_secret(field)):
        file = os.environ.get(file_variable(name))
        if file and os.environ.get(variable(name)):
            found.append(f"{variable(name)} and {file_variable(name)} are both set: keep one of them.")
        try:
            if file:
                Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as reason:
            found.append(f"{file_variable(name)} names a file that can't be read: {reason}.")
    return found


def _closest(name: str, known: Iterable[str]) -> str:
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {match[0]}?" if match else ' "fhir-server config show" lists all of them.'


def _complaint(error: Any, sources: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    where = f" ({sources[name]})" if name in sources else ""
    if error["type"] == "extra_forbidden":
        known = fields() if "." in name else sections()
        return f"{name}{where} is no setting of this server.{_closest(name, known)}"
    return f"{name}{where} {error['msg'].removeprefix('Value error, ')}."


def _nested(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        section, _, key = name.partition(".")
        nested.setdefault(section, {})[key] = value
    return nested


def _flat(nested: Mapping[str, Any]) -> list[str]:
    return [
        f"{section}.{key}" for section, keys in nested.items() if isinstance(keys, Mapping) for key in keys
    ]
