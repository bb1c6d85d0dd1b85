"""What the settings lead to: keys kept in the data directory, folders, whether there is an audit."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from fhir_server.access.matrix import DEFAULT, Matrix, MatrixError, read_matrix
from fhir_server.settings.sources import Settings


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


def professions(settings: Settings) -> Matrix:
    """Return which professions may see what; raises ValueError with the place of what is wrong in the file."""
    file = settings.access.profession_matrix
    if file is None:
        return DEFAULT
    try:
        return read_matrix(file.read_bytes())
    except (OSError, MatrixError) as problem:
        raise ValueError(f"access.profession_matrix ({file}): {problem}") from problem


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


def is_audited(settings: Settings) -> bool:
    """Tell whether there is an audit."""
    return settings.auth.is_on if settings.audit.mode is None else settings.audit.mode == "on"


def rate(settings: Settings, given: str | None, default: str) -> str | None:
    """Return a rate of section ``limits``, None for no limit; ``default`` counts as soon as callers sign in."""
    if given is None:
        return default if settings.auth.is_on else None
    return None if given == "off" else given


def packages_folder(settings: Settings) -> Path:
    """Return the folder of the installed packages."""
    return settings.packages.dir or settings.data.dir / "packages"
