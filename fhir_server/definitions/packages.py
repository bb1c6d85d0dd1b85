"""FHIR packages: a ``.tgz``, a folder, or an entry of the cache ``~/.fhir/packages``, with what they depend on.

Nothing is unpacked: the definitions are read out of the archive, member by member, each with a limit.
https://hl7.org/fhir/R4/packages.html, https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from fhir_server.definitions.core import ADDABLE, Definitions, version_order
from fhir_server.outcome import FhirError, error

#: Limits against hostile archives: bytes of one file and of all files, number of files.
MAX_FILE = 64_000_000
MAX_TOTAL = 1_000_000_000
MAX_FILES = 50_000

#: Where the FHIR tools keep packages (https://hl7.org/fhir/R4/packages.html#cache).
CACHE = Path.home() / ".fhir" / "packages"
#: Packages that the server brings itself.
BUILT_IN = frozenset({"hl7.fhir.r4.core", "hl7.fhir.r4.expansions"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}").fullmatch
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}").fullmatch
_KINDS = (*ADDABLE, "SearchParameter")


@dataclass(frozen=True, slots=True)
class Package:
    """One package: what it is called, what it depends on (name -> version), and its definitions."""

    name: str
    version: str
    dependencies: dict[str, str] = field(default_factory=dict)
    resources: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def label(self) -> str:
        """``name#version``, as the FHIR tools write it."""
        return f"{self.name}#{self.version}"


def read_package(path: Path) -> Package:
    """Return the package in a ``.tgz`` file or a folder (with or without ``package/`` in it).

    Raises FhirError when it can't be read, isn't a package, or breaks a limit.
    """
    if not path.exists():
        raise error("not-found", f"There is no package at {path}.")
    try:
        members = list(_of_folder(path) if path.is_dir() else _of_archive(path))
    except (OSError, EOFError, zlib.error, tarfile.TarError) as reason:
        raise error("invalid", f"The package {path.name} can't be read: {reason}.") from None
    manifest: dict[str, Any] | None = None
    resources: list[dict[str, Any]] = []
    for name, content in members:
        found = _decoded(path, name, content)
        if name == "package.json":
            manifest = found
        elif found.get("resourceType") in _KINDS:
            resources.append(found)
    if manifest is None:
        raise error("invalid", f"{path.name} isn't a FHIR package: it has no package/package.json.")
    name, version = str(manifest.get("name", "")), str(manifest.get("version", ""))
    if not _NAME(name) or not _VERSION(version):
        raise error("invalid", f"{path.name} names its package or version in a way that isn't allowed.")
    needs = manifest.get("dependencies") or {}
    if not isinstance(needs, dict):
        raise error("invalid", f"The dependencies of {path.name} must be an object.")
    return Package(name, version, {str(k): str(v) for k, v in needs.items()}, tuple(resources))


def _decoded(path: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content.decode("utf-8-sig"), parse_float=Decimal)
    except (ValueError, RecursionError):
        raise error("invalid", f"{name} in {path.name} isn't JSON.") from None
    return found if isinstance(found, dict) else {}


def _of_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    with tarfile.open(path, mode="r:gz") as archive:
        for number, member in enumerate(archive):
            parts = Path(member.name).parts
            if ".." in parts or Path(member.name).is_absolute():
                raise error(
                    "security", f"The package {path.name} holds a path that leads out of it.", status=400
                )
            if number >= MAX_FILES or member.size > MAX_FILE or (total := total + member.size) > MAX_TOTAL:
                raise error("too-costly", f"The package {path.name} is too large.")
            wanted = _wanted(parts)
            if wanted is not None and member.isfile():
                file = archive.extractfile(member)
                if file is not None:
                    yield wanted, file.read()


def _of_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    root = path / "package" if (path / "package").is_dir() else path
    real = root.resolve()
    total = 0
    for number, file in enumerate(sorted(root.glob("*.json"))):
        if not file.resolve().is_relative_to(real):
            raise error("security", f"The package {path.name} holds a link that leads out of it.", status=400)
        size = file.stat().st_size
        if number >= MAX_FILES or size > MAX_FILE or (total := total + size) > MAX_TOTAL:
            raise error("too-costly", f"The package {path.name} is too large.")
        if not file.name.startswith("."):
            yield file.name, file.read_bytes()


def _wanted(parts: tuple[str, ...]) -> str | None:
    """Return the file's name if it is one of those directly in ``package/``."""
    if len(parts) == 2 and parts[0] == "package" and parts[1].endswith(".json") and parts[1][0] != ".":
        return parts[1]
    return None


class PackageStore:
    """The packages that were installed: one ``name#version.tgz`` or folder each, below ``folder``.

    ``cache`` is where packages are looked for that are named, or that others depend on.
    """

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        self.folder = folder
        self._cache = cache if cache is not None else CACHE

    def installed(self) -> list[Package]:
        """Return the installed packages without their resources, by name and version."""
        found = [read_package(path) for path in self._paths()]
        return sorted(
            (Package(p.name, p.version, p.dependencies) for p in found), key=lambda p: (p.name, p.version)
        )

    def load(self, definitions: Definitions) -> list[Package]:
        """Add the definitions of all installed packages; return these with their SearchParameters alone."""
        loaded = []
        for path in self._paths():
            package = read_package(path)
            add(package, definitions)
            searched = tuple(r for r in package.resources if r["resourceType"] == "SearchParameter")
            loaded.append(Package(package.name, package.version, package.dependencies, searched))
        return loaded

    def install(self, source: str) -> tuple[list[str], list[str]]:
        """Install a package (a path, or ``name#version`` from the cache) and what it depends on.

        Returns the labels of what was installed, and of dependencies that aren't at hand. Raises FhirError.
        """
        present = {p.label for p in self.installed()}
        wanted, missing = self.needed(source, present)
        for package, path in wanted:
            self._keep(package, path)
        return [package.label for package, _ in wanted], missing

    def needed(
        self, source: str, present: Collection[str] = ()
    ) -> tuple[list[tuple[Package, Path]], list[str]]:
        """Return a package and what it depends on (but for what is ``present``), and the labels that aren't at hand.

        Raises FhirError when the package itself isn't, or one of them can't be read.
        """
        found: dict[str, tuple[Package, Path]] = {}
        missing: list[str] = []
        waiting = [source]
        while waiting:
            next_ = waiting.pop(0)
            path = self._located(next_)
            if path is None:
                if next_ == source:
                    raise error("not-found", f"{next_} is neither a file, a folder, nor in {self._cache}.")
                missing.append(next_)
                continue
            package = read_package(path)
            if package.label in found or (package.label in present and next_ != source):
                continue
            found[package.label] = package, path
            waiting += [
                f"{name}#{version}"
                for name, version in package.dependencies.items()
                if name not in BUILT_IN and f"{name}#{version}" not in present
            ]
        return list(found.values()), missing

    def remove(self, label: str) -> None:
        """Remove an installed package by ``name#version``; raises FhirError when it isn't installed."""
        for path in self._paths():
            if path.name == f"{label}.tgz":
                path.unlink()
                return
        raise error("not-found", f"The package {label} isn't installed.")

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*#*.tgz")) if self.folder.is_dir() else []

    def _located(self, source: str) -> Path | None:
        """Return where a package is; versions of dependencies may end with ``.x`` or be ``latest``."""
        name, _, version = source.partition("#")
        if version and _NAME(name):
            if _VERSION(version) and (self._cache / source).is_dir():
                return self._cache / source
            stem = "" if version in {"latest", "current"} else version.removesuffix("x").removesuffix("*")
            if stem != version and self._cache.is_dir():
                found = [p for p in self._cache.iterdir() if p.name.startswith(f"{name}#{stem}")]
                return max(found, key=lambda p: version_order(p.name.partition("#")[2]), default=None)
        path = Path(source)
        return path if path.exists() else None

    def _keep(self, package: Package, path: Path) -> None:
        """Copy a package into the folder: whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"{package.label}.tgz"
        draft = target.with_suffix(".new")
        with tarfile.open(draft, "w:gz", compresslevel=6) as archive:
            for name, content in _of_folder(path) if path.is_dir() else _of_archive(path):
                _append(archive, f"package/{name}", content)
        draft.replace(target)


def _append(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def search_parameters(packages: Iterable[Package]) -> list[dict[str, Any]]:
    """Return the SearchParameters of packages, of each URL the newest version, in the order of the packages."""
    found: dict[str, dict[str, Any]] = {}
    for package in packages:
        for definition in package.resources:
            url = definition.get("url")
            if definition["resourceType"] != "SearchParameter" or not isinstance(url, str):
                continue
            if url not in found or _version(definition) > _version(found[url]):
                found[url] = definition
    return list(found.values())


def _version(definition: dict[str, Any]) -> tuple[tuple[int, int, str], ...]:
    return version_order(str(definition.get("version", "")))


def add(package: Package, definitions: Definitions) -> int:
    """Add a package's definitions; return how many were taken."""
    return sum(definitions.add(resource) for resource in package.resources)


__all__ = ["CACHE", "FhirError", "Package", "PackageStore", "add", "read_package", "search_parameters"]
