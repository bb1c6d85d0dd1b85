from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import PackageStore, read_package
from fhir_server.outcome import FhirError

VALUE_SET = {
    "resourceType": "ValueSet",
    "url": "https://example.org/vs",
    "version": "1",
    "compose": {"include": []},
}


def manifest(name: str, version: str = "1.0.0", **dependencies: str) -> dict[str, Any]:
    return {"name": name, "version": version, "dependencies": dependencies}


def archive(path: Path, files: dict[str, Any]) -> Path:
    with tarfile.open(path, "w:gz") as target:
        for name, content in files.items():
            body = json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(body)
            target.addfile(member, io.BytesIO(body))
    return path


def folder(path: Path, files: dict[str, Any]) -> Path:
    (path / "package").mkdir(parents=True)
    for name, content in files.items():
        (path / "package" / name).write_text(json.dumps(content))
    return path


def test_install_list_load_and_remove(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder(cache / "b#2.0.0", {"package.json": manifest("b", "2.0.0"), "ValueSet-v.json": VALUE_SET})
    source = archive(
        tmp_path / "a.tgz",
        {"package/package.json": manifest("a", b="2.0.0", c="1.0.0", **{"hl7.fhir.r4.core": "4.0.1"})},
    )
    store = PackageStore(tmp_path / "installed", cache)
    assert store.install(str(source)) == (["a#1.0.0", "b#2.0.0"], ["c#1.0.0"])
    assert [p.label for p in store.installed()] == ["a#1.0.0", "b#2.0.0"]
    definitions = Definitions()
    store.load(definitions)
    assert definitions.value_set("https://example.org/vs|1") is not None
    store.remove("b#2.0.0")
    assert [p.label for p in store.installed()] == ["a#1.0.0"]
    with pytest.raises(FhirError, match="isn't installed"):
        store.remove("b#2.0.0")


def test_a_named_package_comes_from_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder(cache / "b#2.1.3", {"package.json": manifest("b", "2.1.3")})
    store = PackageStore(tmp_path / "installed", cache)
    assert store.install("b#2.1.x") == (["b#2.1.3"], [])
    with pytest.raises(FhirError, match="neither a file"):
        store.install("nobody#1.0.0")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"package/../../evil.json": {}}, "leads out of it"),
        ({"/etc/evil.json": {}}, "leads out of it"),
        ({"package/ValueSet-v.json": VALUE_SET}, "isn't a FHIR package"),
        ({"package/package.json": manifest("../a")}, "in a way that isn't allowed"),
        ({"package/package.json": {**manifest("a"), "dependencies": []}}, None),
        ({"package/package.json": {**manifest("a"), "dependencies": ["b"]}}, "must be an object"),
    ],
)
def test_what_is_no_package_is_refused(tmp_path: Path, files: dict[str, Any], message: str | None) -> None:
    source = archive(tmp_path / "x.tgz", files)
    if message is None:
        assert read_package(source).label == "a#1.0.0"
        return
    with pytest.raises(FhirError, match=message):
        read_package(source)


def test_limits_and_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = archive(tmp_path / "x.tgz", {"package/package.json": manifest("a")})
    monkeypatch.setattr("fhir_server.definitions.packages.MAX_FILE", 10)
    with pytest.raises(FhirError, match="too large"):
        read_package(source)
    source.write_bytes(source.read_bytes()[:40])
    with pytest.raises(FhirError, match="can't be read"):
        read_package(source)
    with pytest.raises(FhirError, match="There is no package"):
        read_package(tmp_path / "nowhere")
