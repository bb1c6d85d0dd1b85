"""What every test may ask for: one real mongod for the session, a fresh database for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from pymongo import MongoClient

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.content import own_definitions
from fhir_server.store.embedded import EmbeddedMongod
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongod]:
    """The session's own mongod; tests that kill a server start another one."""
    running = EmbeddedMongod.start(tmp_path_factory.mktemp("mongod"), cache_gb=0.25)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def mongod_uri(mongod: EmbeddedMongod) -> str:
    """The URI of the session's MongoDB, for synchronous and asynchronous tests alike."""
    return mongod.uri


@pytest.fixture(scope="session")
def mongo_client(mongod_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """A synchronous client of the session's MongoDB: to look behind the store and to drop databases."""
    with MongoClient[dict[str, Any]](mongod_uri) as client:
        yield client


def _new_name() -> str:
    return f"t{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def database_name(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database that no other test uses; dropped afterwards."""
    name = _new_name()
    yield name
    mongo_client.drop_database(name)


@pytest.fixture(scope="module")
def module_database_name(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """As ``database_name``, shared by the tests of a module."""
    name = _new_name()
    yield name
    mongo_client.drop_database(name)


@contextmanager
def serving(flags: dict[str, Any], authenticator: Any = None) -> Iterator[httpx.Client]:
    """Run the whole application on a port of this machine; give a client of it."""
    from fhir_server.app import create_app
    from fhir_server.rest.protocol import GuardedProtocol
    from fhir_server.settings import load

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        flags = {"http.port": port, "log.level": "warning", "content.load": False, **flags}
        app = create_app(load(flags), authenticator)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, ws="none", proxy_headers=False, http=GuardedProtocol
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server under test")
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the application did not start"
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def site(
    mongod_uri: str, mongo_client: MongoClient[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the whole application, which runs on a port of this machine for the session."""
    name = _new_name()
    flags = {
        "mongodb.uri": mongod_uri,
        "mongodb.database": name,
        "data.dir": tmp_path_factory.mktemp("data"),
    }
    with serving(flags) as client:
        yield client
    mongo_client.drop_database(name)


@pytest.fixture(scope="module")
def site_with(
    mongod_uri: str,
    mongo_client: MongoClient[dict[str, Any]],
    module_database_name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[dict[str, Any]], Any]:
    """Return a context that runs the application with other settings, on the module's own database."""

    def run(flags: dict[str, Any]) -> Any:
        return serving(
            {
                "mongodb.uri": mongod_uri,
                "mongodb.database": module_database_name,
                "data.dir": tmp_path_factory.mktemp("data"),
                **flags,
            }
        )

    return run


@pytest.fixture(scope="session")
def space_validator() -> Validator:
    """A validator that knows the profiles and value sets of the health space."""
    definitions = Definitions()
    for _, _, body in own_definitions():
        definitions.add(decode(body))
    return Validator(definitions, CodeSets(definitions))


@pytest.fixture(scope="session")
def fhir(site: httpx.Client) -> Iterator[httpx.Client]:
    """A client of the FHIR API of ``site``: paths are relative to the FHIR base."""
    with httpx.Client(base_url=site.base_url.join("fhir/"), timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the JavaScript clients with what they need from npm; skips where npm can't get it."""
    folder = Path(__file__).parents[1] / "examples" / "clients" / "javascript"
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs Node.js with npm (Debian: apt-get install nodejs npm)")
    if (folder / "node_modules" / ".package-lock.json").exists():
        return folder
    made = tmp_path_factory.mktemp("clients") / "javascript"
    shutil.copytree(folder, made)
    shutil.copytree(folder.parent / "records", made.parent / "records")
    done = subprocess.run([npm, "ci"], cwd=made, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        pytest.skip(f"npm ci could not get the packages: {done.stderr[-300:]}")
    return made
