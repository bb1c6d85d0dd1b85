"""Every setting of the server, documented where it is declared; read by ``app`` and ``cli`` only.

Sources, strongest first: command line, environment (``FHIR_<SECTION>_<KEY>``), ``.env``,
``fhir-server.toml``, defaults. A name that nothing claims is an error that names the closest known one: a
typing error never goes unnoticed.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import secrets
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from fhir_server.access.discovery import SmartServer
from fhir_server.access.issuer import Issuer

PREFIX = "FHIR_"

#: Environment variables that start with the prefix and are no settings: the test suites' folder, the build's
#: package, and the path of the settings file.
RESERVED = frozenset({"FHIR_SUITES", "FHIR_CORE_PACKAGE", "FHIR_CONFIG"})

#: The settings file that is read when FHIR_CONFIG names no other.
FILE = "fhir-server.toml"


def user_data_folder() -> Path:
    """Return the folder for this user's data: XDG on Linux, the platform's own place on macOS and Windows."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "fhir-server"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fhir-server"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "fhir-server"


def _base_path(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", value):
        raise ValueError('must be empty or start with "/" and have no "/" at its end, for example /fhir')
    return value


def _base_url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "must be an absolute http or https URL without query, for example https://fhir.example.org/r4"
        )
    return value.rstrip("/")


def _mongodb_uri(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must start with mongodb:// or mongodb+srv://")
    return value


def _cursor_key(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value()) < 32:
        raise ValueError('must have at least 32 characters: try "openssl rand -hex 32"')
    return value


class Section(BaseModel):
    """One section of the settings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


class Http(Section):
    """Where the server listens, what it calls itself, and how much it takes from one request."""

    host: str = "127.0.0.1"
    """Address to listen on. 0.0.0.0 listens on all; put a TLS proxy in front before you do that."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """TCP port to listen on."""
    base_path: Annotated[str, AfterValidator(_base_path)] = "/fhir"
    """Path of the FHIR base below the host; empty for the root."""
    base_url: Annotated[str | None, AfterValidator(_base_url)] = None
    """Absolute public URL of the FHIR base, for links and Location behind a proxy. Without it the request's
    Host is used."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes. One worker keeps one core busy."""
    max_body_mb: Annotated[int, Field(ge=1, le=1024)] = 16
    """Largest request body of a single resource, in MB (10^6 bytes). Larger ones are answered with 413."""
    max_binary_mb: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Largest content of a Binary that is sent as it is, in MB (10^6 bytes): a document, an image, a video. It is
    streamed to the database and takes hardly any memory. A Binary as a resource, in base64, falls under
    http.max_body_mb."""
    max_bundle_mb: Annotated[int, Field(ge=1, le=4096)] = 64
    """Largest request body of a batch or transaction Bundle, in MB (10^6 bytes)."""
    request_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Seconds that one request may take before it is answered with 503."""
    body_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Seconds that a request's body may take to arrive before it is answered with 408."""
    binary_timeout_s: Annotated[float, Field(gt=0, le=3000)] = 600.0
    """The same for the content of a Binary that is sent as it is."""
    shutdown_grace_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    """Seconds that requests in flight get to finish when the server stops."""


class Mongodb(Section):
    """The database: a replica set of yours, or the embedded one."""

    uri: Annotated[SecretStr | None, AfterValidator(_mongodb_uri)] = None
    """Connection string of a MongoDB replica set (6.0 or newer). Without it an embedded MongoDB is started in
    the data directory."""
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,38}$")] = "fhir"
    """Name of the database."""
    binary: Path | None = None
    """The mongod program for the embedded MongoDB. Without it: mongod on PATH, then the one of the extra
    "embedded"."""
    cache_gb: Annotated[float, Field(ge=0.25, le=1024)] = 0.5
    """Cache of the embedded MongoDB in GB (WiredTiger cache; the process needs about 130 MB more)."""
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds to wait for the database to be reachable before a request is answered with 503."""
    inline_kb: Annotated[int, Field(ge=1, le=4096)] = 256
    """KB (1024 bytes) up to which the content of an Attachment or Binary is stored inside its resource; larger content
    is stored in chunks of its own, and served back the same."""


class Data(Section):
    """Files of this server on this machine."""

    dir: Path = Field(default_factory=user_data_folder)
    """Data directory: the embedded MongoDB's files, its log and generated keys. Default: the user's data
    directory (Linux: $XDG_DATA_HOME/fhir-server or ~/.local/share/fhir-server)."""


class Search(Section):
    """Answers to searches and histories (https://hl7.org/fhir/R4/search.html)."""

    default_count: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Matches in a page when the request has no _count."""
    max_count: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most matches in a page, whatever _count asks for."""
    handling: Literal["strict", "lenient"] = "strict"
    """What an unknown search parameter does when the request has no Prefer: handling. strict: 400; lenient:
    it is ignored and the answer says so."""
    time_limit_ms: Annotated[int, Field(ge=100, le=600_000)] = 10_000
    """Milliseconds that the database may work on one query of a search; then the search is refused (422) with
    advice."""
    without_content: Annotated[str, Field(pattern=r"^([A-Z][A-Za-z]+(,[A-Z][A-Za-z]+)*)?$")] = (
        "AuditEvent,Claim,ExplanationOfBenefit,MedicationAdministration,Observation,Provenance"
    )
    """Resource types (comma list) that _content doesn't search. Their records come in masses and hold few words, and
    each word costs a key of an index. After a change, $reindex."""
    explain: bool = False
    """Whether _explain=true adds to a search how each of its queries was run: index, keys examined, filter,
    milliseconds. For development: it runs each query twice, and shows what access allows."""

    @property
    def types_without_content(self) -> frozenset[str]:
        """The types as a set."""
        return frozenset(self.without_content.split(",")) - {""}


class Validation(Section):
    """What is checked before a resource is stored (https://hl7.org/fhir/R4/validation.html)."""

    warnings: Annotated[str, Field(pattern=r"^([A-Za-z0-9-]+(,[A-Za-z0-9-]+)*)?$")] = "txt-2"
    """Rules (constraint keys, comma list) whose breach is a warning and no error. txt-2, an empty narrative,
    is one by default: the official R4 examples break it, and the reference implementation accepts them. "none"
    makes every rule an error."""

    profiles: Annotated[str, Field(pattern=r"^([A-Z][A-Za-z]+=[^\s,=]+(,\s*[A-Z][A-Za-z]+=[^\s,=]+)*)?$")] = (
        ""
    )
    """Profiles that every resource of a type must keep, whatever it claims: Type=url pairs, comma list, such as
    Patient=https://example.org/StructureDefinition/patient. A type may be named more than once."""
    unknown_profile: Literal["ignore", "information", "warning", "error"] = "warning"
    """What a profile in meta.profile that this server doesn't know is: nothing at all, or an issue of this severity.
    """
    unknown_extension: Literal["information", "warning", "error"] = "information"
    """Severity of an extension whose definition this server doesn't know."""
    unknown_modifier_extension: Literal["information", "warning", "error"] = "warning"
    """The same of a modifierExtension, which changes the meaning of what holds it."""

    @property
    def imposed_profiles(self) -> dict[str, tuple[str, ...]]:
        """The profiles by type."""
        found: dict[str, tuple[str, ...]] = {}
        for pair in filter(None, (self.profiles or "").split(",")):
            name, _, url = pair.strip().partition("=")
            found[name] = (*found.get(name, ()), url)
        return found

    @property
    def warning_rules(self) -> frozenset[str]:
        """The rules as a set."""
        return frozenset(self.warnings.split(",")) - {""}


class Packages(Section):
    """FHIR packages with profiles and terminology (https://hl7.org/fhir/R4/packages.html)."""

    dir: Path | None = None
    """Folder of the installed packages. Default: packages in the data directory. "fhir-server packages" fills it;
    what it holds is loaded when the server starts."""
    install: str | None = None
    """Packages that start-up installs if they aren't: comma list of .tgz files, folders, or name#version from the
    FHIR package cache (~/.fhir/packages)."""


class Update(Section):
    """PUT (https://hl7.org/fhir/R4/http.html#update)."""

    create: bool = True
    """Whether PUT to an id that doesn't exist creates the resource (update as create). When false it is a
    405."""


class Delete(Section):
    """Conditional DELETE, by search (https://hl7.org/fhir/R4/http.html#3.1.0.7.1)."""

    conditional: Literal["single", "multiple"] = "single"
    """What happens when several resources match. single: 412 with their number; multiple: all are deleted, in
    one transaction."""
    conditional_max: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most resources that one request deletes when delete.conditional is multiple; above that 412."""


class Expunge(Section):
    """$expunge: versions removed for good, for operators only (docs/api.md)."""

    allow: Literal["off", "on", "everything"] = "off"
    """off: there is no such operation. on: previous versions and deleted resources can be removed. everything: all
    data of the server at once, too; for test servers. There is no sign-in yet: whoever reaches the server is an
    operator."""


class Bundle(Section):
    """Batches and transactions (https://hl7.org/fhir/R4/http.html#transaction)."""

    max_entries: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    """Most entries of one Bundle; more are answered with 413. See also http.max_bundle_mb."""


class Integrity(Section):
    """Referential integrity between the resources of this server."""

    references: Literal["off", "write", "delete", "both"] = "off"
    """write: a literal reference to this server must lead to a resource, else 422. delete: what others refer to
    can't be deleted, 409; this sees resources that were written since it was switched on. both: both. off: references
    may dangle."""


class App(Section):
    """What a health app may store."""

    measures_per_day: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Measures that one app stores of one citizen in a day (UTC); more are answered with 429. What was stored before
    does not count again."""
    ingest_lines: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Lines that one Observation/$ingest takes; the rest is sent as another one."""


class Space(Section):
    """The citizens' spaces: who gets one unasked, and what is taken in."""

    auto_opening: Annotated[str, Field(pattern=r"^(born-from:\d{4}-\d\d-\d\d|everyone|nobody)$")] = (
        "born-from:2022-01-01"
    )
    """Whose space opens unless they object: born-from:YYYY-MM-DD (the measure of 2019), everyone (the later law) or
    nobody."""
    opening_days: Annotated[int, Field(ge=0, le=366)] = 42
    """Days between the notice to a citizen, counted from its sending, and the opening of the space."""
    enforce: bool = False
    """Refuse what is put into a space that is not open (403). Off, spaces are kept but stop nobody; switch it on where
    callers sign in."""
    test_identities: Literal["accept", "refuse"] = "accept"
    """Whether Patients with test or demonstration identities (INS) are taken; refuse them in production."""


class Contacts(Section):
    """The persons to call in an emergency."""

    max: Annotated[int, Field(ge=1, le=100)] = 5
    """Active emergency contacts of one citizen."""


class Log(Section):
    """What the server writes to standard error while it runs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages that are written. Each request is one line at level info."""
    format: Literal["json", "text"] = "text"
    """json: one object a line, for a log collector; text: for people."""


class Audit(Section):
    """The audit: who did what with whose data, as AuditEvents that can't be changed unnoticed (docs/audit.md)."""

    mode: Literal["off", "on"] | None = None
    """on: every access, change and refusal is recorded before it is answered; when it can't be, the answer is 503.
    off: nothing is. Default: off while everybody may do everything (development), on as soon as callers sign in."""
    key_file: Path | None = None
    """File with the Ed25519 key (32 bytes) that checkpoints of the audit are signed with. Default: audit.key in the
    data directory, made when it is missing."""
    checkpoint_file: Path | None = None
    """File that each checkpoint is appended to, besides the database. Put it where whoever administers the database
    can't write: without it a truncated audit can't be told from a short one."""


class Content(Section):
    """The health space's own profiles, value sets, search parameters and so on, which come with the server."""

    load: bool = True
    """Whether start-up stores those definitions that the server doesn't hold yet, or holds in an older version."""


class Examples(Section):
    """The synthetic examples that come with the server."""

    load: bool = False
    """Whether start-up stores the examples (the valid ones) that the server doesn't hold yet. Not for
    production."""


class Auth(Section):
    """Who may come: the authorization servers whose access tokens are accepted (docs/access.md)."""

    issuers: tuple[Issuer, ...] = ()
    """Authorization servers that are believed, each in a table [[auth.issuers]] of the settings file."""
    smart: SmartServer | None = None
    """The authorization server that apps are sent to by .well-known/smart-configuration; it must be the first of the
    issuers. The development authorization server announces itself."""
    origins: Annotated[str, Field(pattern=r"^(https?://[^\s,/]+(,\s*https?://[^\s,/]+)*)?$")] = ""
    """Origins of web pages that may read answers (CORS; comma list), such as https://app.example.org."""
    dev_server: bool = False
    """Whether the development authorization server runs at /auth: anybody can sign in as anybody, to try apps. Never
    in production."""

    @property
    def is_on(self) -> bool:
        """Tell whether callers sign in."""
        return bool(self.issuers) or self.dev_server

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins as a set."""
        return frozenset(origin.strip() for origin in self.origins.split(",")) - {""}


class Cursor(Section):
    """Links to further pages carry an encrypted cursor, so that they tell nothing and can't be forged."""

    key: Annotated[SecretStr | None, AfterValidator(_cursor_key)] = None
    """Secret of at least 32 characters that cursors are encrypted with. Give the same one to every server
    behind one address. Without it a key is generated and kept in the data directory."""


class Access(Section):
    """Who may see and do what."""

    open_anywhere: bool = False
    """Let a server where nobody signs in (no auth.issuers) listen on other addresses than loopback. Whoever reaches
    the port then reads and changes everything."""


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
    cursor: Cursor = Field(default_factory=Cursor)
    access: Access = Field(default_factory=Access)
    auth: Auth = Field(default_factory=Auth)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (replaced)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (not offered)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, strongest first."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=settings_file())
        return init_settings, env_settings, _EnvironmentFile(settings_cls), file


class _EnvironmentFile(DotEnvSettingsSource):
    """``.env``, of which other programs' lines are nobody's error here."""

    def __call__(self) -> dict[str, Any]:
        return EnvSettingsSource.__call__(self)


class SettingsError(Exception):
    """The settings can't be used.

    ``complaints`` are sentences that name the setting, its source and the remedy.
    """

    def __init__(self, complaints: Iterable[str]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(self.complaints))


def settings_file() -> Path:
    """Return the settings file's path: FHIR_CONFIG, else fhir-server.toml in the working directory."""
    return Path(os.environ.get("FHIR_CONFIG") or FILE)


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of all sources.

    ``flags`` are the command line's: ``{"http.port": 8081}``; None means that the flag was not given. Raises
    SettingsError with all complaints at once: unknown names, values that are refused, an unreadable file.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    complaints = [*_unknown_variables(), *_no_json(), *_unreadable_file()]
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
        (".env", _flat(_EnvironmentFile(Settings)())),
        ("environment", _flat(EnvSettingsSource(Settings)())),
    ):
        found.update(
            (name, source if source == str(file) else f"{source} {variable(name)}") for name in values
        )
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


def cursor_key(settings: Settings) -> bytes:
    """Return the 32 bytes that cursors are encrypted with.

    Without a setting they are made once and kept in the data directory; raises OSError when it can't be
    written.
    """
    if settings.cursor.key is not None:
        return hashlib.sha256(settings.cursor.key.get_secret_value().encode()).digest()
    return _kept_key(settings.data.dir / "cursor.key")


def audit_key(settings: Settings) -> bytes:
    """Return the 32 bytes of the key that checkpoints are signed with, made if missing; raises OSError."""
    return _kept_key(settings.audit.key_file or settings.data.dir / "audit.key")


def is_audited(settings: Settings) -> bool:
    """Tell whether there is an audit."""
    return settings.auth.is_on if settings.audit.mode is None else settings.audit.mode == "on"


def _kept_key(file: Path) -> bytes:
    """Return the 32 bytes in a file; they are made once."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_name(f"{file.stem}.{os.getpid()}.new")
        draft.touch(mode=0o600)
        draft.write_bytes(secrets.token_bytes(32))
        try:
            os.link(draft, file)  # fails when another worker was first: then its key is the one
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_bytes()


def _unknown_variables() -> list[str]:
    known = {variable(name) for name in fields()} | RESERVED
    found: list[str] = []
    in_file = _EnvironmentFile(Settings).env_vars
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


def packages_folder(settings: Settings) -> Path:
    """Return the folder of the installed packages."""
    return settings.packages.dir or settings.data.dir / "packages"
