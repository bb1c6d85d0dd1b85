"""Every setting of the server, documented where it is declared; read by ``app`` and ``cli`` only.

Sources, strongest first: command line, environment (``FHIR_<SECTION>_<KEY>``), ``.env``,
``fhir-server.toml``, defaults. A name that nothing claims is an error that names the closest known one: a
typing error never goes unnoticed.
"""

from fhir_server.settings.kept import audit_key, cursor_key, is_audited, packages_folder, professions, rate
from fhir_server.settings.loading import (
    RESERVED,
    SettingsError,
    fields,
    load,
    origins,
    sections,
    variable,
)
from fhir_server.settings.section import Section
from fhir_server.settings.serving import user_data_folder
from fhir_server.settings.sources import FILE, PREFIX, Settings, settings_file

__all__ = [
    "FILE",
    "PREFIX",
    "RESERVED",
    "Section",
    "Settings",
    "SettingsError",
    "audit_key",
    "cursor_key",
    "fields",
    "is_audited",
    "load",
    "origins",
    "packages_folder",
    "professions",
    "rate",
    "sections",
    "settings_file",
    "user_data_folder",
    "variable",
]
