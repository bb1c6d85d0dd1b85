"""What is done is noted, and a changed file or another server starts again."""

from __future__ import annotations

import os

import pytest

from fhir_server.cli import checkpoint
from fhir_server.cli.checkpoint import Checkpoint

BASE = "http://h/fhir"


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "a.ndjson"
    file.write_text("{}\n" * 5)
    return str(file)


def test_done_out_of_order_survives(tmp_path, source):
    first = Checkpoint(tmp_path / "load.json", BASE)
    for number in (1, 0, 3):
        first.done(source, number)
    first.write()
    second = Checkpoint(tmp_path / "load.json", BASE)
    assert [second.is_done(source, n) for n in range(5)] == [True, True, False, True, False]


def test_a_changed_file_starts_again(tmp_path, source):
    first = Checkpoint(tmp_path / "load.json", BASE)
    first.done(source, 0)
    first.write()
    os.utime(source, ns=(1, 1))
    assert not Checkpoint(tmp_path / "load.json", BASE).is_done(source, 0)


def test_it_is_written_while_the_load_runs(tmp_path, source, monkeypatch):
    monkeypatch.setattr(checkpoint, "INTERVAL_S", 0.0)
    Checkpoint(tmp_path / "load.json", BASE).done(source, 0)
    assert Checkpoint(tmp_path / "load.json", BASE).is_done(source, 0)
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".new")] == []


def test_another_server_is_refused(tmp_path):
    Checkpoint(tmp_path / "load.json", BASE).write()
    with pytest.raises(ValueError, match="belongs to a load into http://h/fhir"):
        Checkpoint(tmp_path / "load.json", "http://other/fhir")


@pytest.mark.parametrize("text", ["", "[]", '{"sources": 1}', "{}"])
def test_a_foreign_file_is_refused(tmp_path, text):
    (tmp_path / "load.json").write_text(text)
    with pytest.raises(ValueError, match="no checkpoint"):
        Checkpoint(tmp_path / "load.json", BASE)


def test_without_a_file_nothing_is_written(tmp_path, source):
    memory = Checkpoint(None, BASE)
    memory.done(source, 0)
    memory.write()
    assert memory.is_done(source, 0)
    assert [file.name for file in tmp_path.iterdir()] == ["a.ndjson"]
