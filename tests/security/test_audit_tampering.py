"""C23: whoever edits, deletes, reorders or cuts off events in the database is found, and where."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from fhir_server.cli.program import program

Database = Any


@pytest.fixture(scope="module")
def written(site_with: Callable[[dict[str, Any]], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the key and the file of checkpoints of an audit of two processes, one after the other."""
    folder = tmp_path_factory.mktemp("audit")
    flags = {
        "audit.mode": "on",
        "audit.key_file": folder / "key",
        "audit.checkpoint_file": folder / "checkpoints",
    }
    for _ in range(2):
        with site_with(flags) as site, httpx.Client(base_url=site.base_url.join("fhir/")) as client:
            for number in range(6):
                client.put(f"Patient/p{number}", json={"resourceType": "Patient", "id": f"p{number}"})
    return folder


@pytest.fixture
def copied(
    written: Path,
    mongo_client: MongoClient[dict[str, Any]],
    module_database_name: str,
    database_name: str,
) -> Database:
    """A copy of the database to tamper with."""
    assert written.exists()
    source, target = mongo_client[module_database_name], mongo_client[database_name]
    for name in source.list_collection_names():
        if rows := list(source[name].find()):
            target[name].insert_many(rows)
    return target


@pytest.fixture
def verify(
    written: Path, mongod_uri: str, copied: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs the command on the copy."""
    monkeypatch.setenv("FHIR_MONGODB_URI", mongod_uri)
    monkeypatch.setenv("FHIR_MONGODB_DATABASE", copied.name)
    monkeypatch.setenv("FHIR_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FHIR_AUDIT_KEY_FILE", str(written / "key"))

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(
            program, ["audit", "verify", "--checkpoints", str(written / "checkpoints"), *arguments]
        )
        return result.exit_code, result.output

    return run


def log(database: Database) -> Any:
    """Return the one collection of events."""
    [name] = [name for name in database.list_collection_names() if name.startswith("audit.")]
    return database[name]


def rows(database: Database) -> list[dict[str, Any]]:
    """Return the events of the chain that comes first, in order."""
    found = list(log(database).find(sort=[("_id", 1)]))
    return [row for row in found if row["c"] == found[0]["c"]]


def test_c23_an_untouched_audit_is_found_whole(verify: Any, copied: Database) -> None:
    count = log(copied).count_documents({})
    assert count == 12
    assert verify("--data") == (0, "12 events, 0 findings\n")


def edit_body(database: Database) -> str:
    row = rows(database)[2]
    log(database).update_one({"_id": row["_id"]}, {"$set": {"j": row["j"].replace(b'"0"', b'"8"', 1)}})
    return f"{row['c']} position 3: edited"


def edit_patient(database: Database) -> str:
    row = rows(database)[3]
    log(database).update_one({"_id": row["_id"]}, {"$set": {"p": "somebody-else"}})
    return f"{row['c']} position 4: edited"


def delete_one(database: Database) -> str:
    row = rows(database)[1]
    log(database).delete_one({"_id": row["_id"]})
    return f"{row['c']} position 2: deleted (1 missing, up to position 2)"


def delete_first(database: Database) -> str:
    row = rows(database)[0]
    log(database).delete_one({"_id": row["_id"]})
    return f"{row['c']} position 1: deleted"


def swap_two(database: Database) -> str:
    one, two = rows(database)[1:3]
    for row, other in ((one, two), (two, one)):
        content = {name: value for name, value in other.items() if name not in ("_id", "c", "n", "h")}
        log(database).update_one({"_id": row["_id"]}, {"$set": content})
    return f"{one['c']} position 2: reordered"


def truncate(database: Database) -> str:
    *_, one, two = rows(database)
    log(database).delete_many({"_id": {"$in": [one["_id"], two["_id"]]}})
    return f"{one['c']} position 5: truncated"


def drop_chain(database: Database) -> str:
    chain = rows(database)[0]["c"]
    log(database).delete_many({"c": chain})
    return f"{chain} position 1: truncated"


def rewrite(database: Database) -> str:
    """Edit an event and make the hashes of all that follow anew, as somebody who read the program would."""
    from fhir_server.access.audit_chain import genesis, link

    found = rows(database)
    root = genesis(found[0]["c"])
    for row in found:
        body = row["j"].replace(b"p2", b"p9") if row["n"] == 3 else row["j"]
        root = link(root, body)
        fields = {"p": "p9", "e": "Patient/p9"} if row["n"] == 3 else {}
        log(database).update_one({"_id": row["_id"]}, {"$set": {"j": body, "h": root, **fields}})
    return f"{found[0]['c']} position 6: rewritten"


def restore_backup(database: Database) -> str:
    last = database["audit-checkpoints"].find_one(sort=[("_id", -1)])
    log(database).delete_many({"c": last["chain"]})
    database["audit-checkpoints"].delete_one({"_id": last["_id"]})
    return f"Checkpoint {last['_id']} is in the file and not in the database"


def edit_checkpoint(database: Database) -> str:
    database["audit-checkpoints"].update_one({"_id": 1}, {"$set": {"sequence": 5}})
    return "Checkpoint 1 has a wrong signature"


def delete_checkpoint(database: Database) -> str:
    database["audit-checkpoints"].delete_one({"_id": 1})
    return "Checkpoints 1 to 1 are missing"


TAMPERINGS = [
    edit_body,
    edit_patient,
    delete_one,
    delete_first,
    swap_two,
    truncate,
    drop_chain,
    rewrite,
    restore_backup,
    edit_checkpoint,
    delete_checkpoint,
]


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_c23_tampering_is_found_with_its_position(tamper: Any, verify: Any, copied: Database) -> None:
    expected = tamper(copied)
    code, output = verify()
    assert code == 1
    assert expected in output


def test_c23_another_key_verifies_nothing(verify: Any) -> None:
    code, output = verify("--key", "00" * 32)
    assert code == 1
    assert "unknown key" in output


def test_c32_an_event_without_its_data_is_reported_as_unfinished(verify: Any, copied: Database) -> None:
    copied["Patient"].delete_one({"_id": "p3"})
    copied["history"].delete_many({"id": "p3"})
    code, output = verify("--data")
    assert code == 1
    assert "unfinished; Patient/p3 has no version 1" in output


def test_the_export_has_every_event(verify: Any, copied: Database, written: Path, tmp_path: Path) -> None:
    shutil.copy(written / "key", tmp_path / "audit.key")
    assert verify()[0] == 0
    result = CliRunner().invoke(program, ["audit", "export"])
    exported = [json.loads(line) for line in result.output.splitlines()]
    assert len(exported) == log(copied).count_documents({})
    assert {event["resourceType"] for event in exported} == {"AuditEvent"}
