"""All sections together, and where their values come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from fhir_server.settings.access import Access, Audit, Auth, Limits
from fhir_server.settings.health_space import App, Contacts, Content, Examples, Space
from fhir_server.settings.interacting import (
    Bundle,
    Delete,
    Expunge,
    Integrity,
    Packages,
    Search,
    Update,
    Validation,
)
from fhir_server.settings.sandbox import Sandbox
from fhir_server.settings.serving import Cursor, Data, Http, Log, Mongodb

PREFIX = "FHIR_"

#: The settings file that is read when FHIR_CONFIG names no other.
FILE = "fhir-server.toml"


def settings_file() -> Path:
    """Return the settings file's path: FHIR_CONFIG, else fhir-server.toml in the working directory."""
    return Path(os.environ.get("FHIR_CONFIG") or FILE)


class EnvironmentFile(DotEnvSettingsSource):
    """``.env``, of which other programs' lines are nobody's error here."""

    def __call__(self) -> dict[str, Any]:
        """Return what the file says of known settings."""
        return EnvSettingsSource.__call__(self)


class Environment(EnvSettingsSource):
    """The environment's variables, without those that name files with secrets."""

    def __call__(self) -> dict[str, Any]:
        """Return what the variables say."""
        found = super().__call__()
        for name, field in self.settings_cls.model_fields.items():
            for key in _secrets_of(field):
                if isinstance(found.get(name), dict):
                    found[name].pop(f"{key}_file", None)
        return {name: said for name, said in found.items() if said != {}}


def _secrets_of(section: FieldInfo) -> list[str]:
    declared = getattr(section.annotation, "model_fields", {})
    return [key for key, field in declared.items() if is_secret(field)]


class SecretFiles(PydanticBaseSettingsSource):
    """Secrets in files that variables name: ``FHIR_CURSOR_KEY_FILE=/run/secrets/cursor`` for ``cursor.key``.

    Raises OSError when a file can't be read.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the section's secrets."""
        found: dict[str, str] = {}
        for key in _secrets_of(field):
            if file := os.environ.get(file_variable(f"{field_name}.{key}")):
                found[key] = Path(file).read_text(encoding="utf-8").strip()
        return found, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all secrets by section."""
        sections = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: found for name, found in sections.items() if found}


def is_secret(declared: FieldInfo) -> bool:
    """Tell whether a setting is never shown."""
    return SecretStr in (declared.annotation, *get_args(declared.annotation))


def file_variable(name: str) -> str:
    """Return the environment variable that names the file with a secret: ``cursor.key`` -> FHIR_CURSOR_KEY_FILE."""
    return f"{PREFIX}{name.replace('.', '_').upper()}_FILE"


class Settings(BaseSettings):
    """All settings, frozen. Make them with ``load``, which also refuses names that nothing claims."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
        env_file=".env",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    http: Http = Field(default_factory=Http)
    mongodb: Mongodb = Field(default_factory=Mongodb)
    data: Data = Field(default_factory=Data)
    search: Search = Field(default_factory=Search)
    validation: Validation = Field(default_factory=Validation)
    packages: Packages = Field(default_factory=Packages)
    update: Update = Field(default_factory=Update)
    delete: Delete = Field(default_factory=Delete)
    expunge: Expunge = Field(default_factory=Expunge)
    bundle: Bundle = Field(default_factory=Bundle)
    integrity: Integrity = Field(default_factory=Integrity)
    app: App = Field(default_factory=App)
    space: Space = Field(default_factory=Space)
    contacts: Contacts = Field(default_factory=Contacts)
    log: Log = Field(default_factory=Log)
    audit: Audit = Field(default_factory=Audit)
    content: Content = Field(default_factory=Content)
    examples: Examples = Field(default_factory=Examples)
    sandbox: Sandbox = Field(default_factory=Sandbox)
    cursor: Cursor = Field(default_factory=Cursor)
    access: Access = Field(default_factory=Access)
    auth: Auth = Field(default_factory=Auth)
    limits: Limits = Field(default_factory=Limits)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (replaced)
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (replaced)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (not offered)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, strongest first."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=settings_file())
        secrets = SecretFiles(settings_cls)
        return init_settings, Environment(settings_cls), secrets, EnvironmentFile(settings_cls), file
