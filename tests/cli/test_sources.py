"""Files, folders and standard input become documents with their places."""

from __future__ import annotations

import bz2
import gzip
import io
import sys

import pytest

from fhir_server.cli.sources import documents, sources

A, B = b'{"resourceType":"Patient","id":"a"}', b'{"resourceType":"Patient","id":"b"}'
PRETTY = b'{\n  "resourceType": "Patient"\n}\n'

CASES = [
    ("one.json", PRETTY, [(0, 1, PRETTY)]),
    ("one.json", b"\n\n" + PRETTY, [(0, 3, b"\n\n" + PRETTY)]),
    ("flat.json", A, [(0, 1, A)]),
    ("lines.json", A + b"\n" + B + b"\n", [(0, 1, A), (1, 2, B)]),
    ("lines.ndjson", A + b"\r\n\n" + B, [(0, 1, A), (1, 3, B)]),
    ("broken.ndjson", b"{\n" + B, [(0, 1, b"{"), (1, 2, B)]),
    ("broken.json", b'{"resourceType":', [(0, 1, b'{"resourceType":')]),
    ("empty.json", b"  \n", []),
    ("empty.ndjson", b"", []),
]


@pytest.mark.parametrize("compress", [None, gzip, bz2])
@pytest.mark.parametrize(("name", "content", "expected"), CASES)
def test_documents(tmp_path, name, content, expected, compress):
    suffix = {None: "", gzip: ".gz", bz2: ".bz2"}[compress]
    file = tmp_path / (name + suffix)
    file.write_bytes(compress.compress(content) if compress else content)
    found = list(documents(str(file)))
    assert [(d.number, d.line, d.body) for d in found] == expected
    assert {d.source for d in found} <= {str(file)}
    if found:
        assert found[-1].consumed == file.stat().st_size


@pytest.mark.parametrize(("content", "expected"), [(PRETTY, [PRETTY]), (A + b"\n" + B, [A, B]), (b"", [])])
def test_standard_input(monkeypatch, content, expected):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert [d.body for d in documents("-")] == expected


def test_folders_are_searched_in_order(tmp_path):
    for name in ("b/2.json", "b/1.ndjson.gz", "a.jsonl", "c.JSON", "notes.txt", "x.xml", "b/y.json.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [file.removeprefix(str(tmp_path) + "/") for file in sources([str(tmp_path), "-"])]
    assert found == ["a.jsonl", "b/1.ndjson.gz", "b/2.json", "c.JSON", "-"]


def test_a_named_file_is_taken_whatever_its_name(tmp_path):
    (tmp_path / "patient").write_bytes(A)
    assert sources([str(tmp_path / "patient")]) == [str(tmp_path / "patient")]


def test_a_missing_path_and_an_empty_folder_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json doesn't exist"):
        sources(["nowhere.json"])
    with pytest.raises(ValueError, match="holds no"):
        sources([str(tmp_path)])
