"""Settings: sources and their order, typing errors, secrets."""

from __future__ import annotations

import os
import stat

import pytest

from fhir_server.settings import SettingsError, cursor_key, fields, load, origins, sections, variable


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("FHIR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path


def test_defaults(clean):
    settings = load()
    assert (settings.http.host, settings.http.port, settings.http.base_path) == ("127.0.0.1", 8080, "/fhir")
    assert settings.search.handling == "strict"
    assert settings.data.dir == clean / "home" / "fhir-server"


def test_each_source_is_stronger_than_the_next(clean, monkeypatch):
    sources = [
        lambda: (clean / "fhir-server.toml").write_text("[http]\nport = 2\n[search]\nmax_count = 77\n"),
        lambda: (clean / ".env").write_text("FHIR_HTTP_PORT=3\nSOMEBODY_ELSES=1\n"),
        lambda: monkeypatch.setenv("FHIR_HTTP_PORT", "4"),
    ]
    expected = ["fhir-server.toml", ".env FHIR_HTTP_PORT", "environment FHIR_HTTP_PORT"]
    for port, (place, origin) in enumerate(zip(sources, expected, strict=True), start=2):
        place()
        assert load().http.port == port
        assert origins()["http.port"] == origin
    assert load({"http.port": 5}).http.port == 5
    assert origins({"http.port": 5, "http.host": None})["http.port"] == "command line"
    assert load({"http.port": None}).http.port == 4
    assert load({"http.port": 5}).search.max_count == 77


REFUSED = [
    ("FHIR_MONGDB_URI", "mongodb://x", "FHIR_MONGDB_URI (environment) is no setting of this server. Did you mean FHIR_MONGODB_URI?"),
    ("FHIR_HTTP_PROT", "1", "FHIR_HTTP_PROT (environment) is no setting of this server. Did you mean FHIR_HTTP_PORT?"),
    ("FHIR_SERCH_MAX_COUNT", "1", "Did you mean FHIR_SEARCH_MAX_COUNT?"),
    ("FHIR_QQQQQQQQQQQQQQQQQQQQ", "1", 'config show" lists all'),
    ("FHIR_HTTP_PORT", "many", "http.port (environment FHIR_HTTP_PORT) Input should be a valid integer"),
    ("FHIR_HTTP_PORT", "70000", "less than or equal to 65535"),
    ("FHIR_HTTP_BASE_PATH", "fhir/", 'http.base_path (environment FHIR_HTTP_BASE_PATH) must be empty or start with "/"'),
    ("FHIR_HTTP_BASE_URL", "fhir.example.org", "must be an absolute http or https URL"),
    ("FHIR_MONGODB_URI", "localhost:27017", "must start with mongodb://"),
    ("FHIR_CURSOR_KEY", "short", "at least 32 characters"),
    ("FHIR_AUTH_ISSUERS", "https://a", "FHIR_AUTH_ISSUERS (environment) must be JSON"),
    ("FHIR_AUTH_ISSUERS", '[{"issuer": "http://a", "clients": {}}]', "must be an https URL"),
    ("FHIR_AUTH_ISSUERS", '[{"issuer": "https://a"}]', "auth.issuers.0.clients Field required"),
    ("FHIR_CONFIG", "absent.toml", "FHIR_CONFIG names absent.toml, which doesn't exist."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "complaint"), REFUSED)
def test_refused_in_the_environment(monkeypatch, name, value, complaint):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load()
    assert complaint in str(refused.value)
    assert "short" not in str(refused.value)


FILES = [
    ("fhir-server.toml", "[htpp]\nport = 1\n", "Did you mean http?"),
    ("fhir-server.toml", "[http]\nprot = 1\n", "Did you mean http.port?"),
    ("fhir-server.toml", "[http]\nport = 0\n", "http.port (fhir-server.toml) Input should be greater"),
    (
        "fhir-server.toml",
        '[[auth.issuers]]\nissuer = "https://a"\nclients = {}\nalgoritms = []\n',
        "algoritms",
    ),
    ("fhir-server.toml", "[http\n", "can't be read as TOML"),
    (".env", "FHIR_HTTP_PROT=1\n", "FHIR_HTTP_PROT (.env) is no setting of this server."),
]


@pytest.mark.parametrize(("name", "text", "complaint"), FILES)
def test_refused_in_a_file(clean, name, text, complaint):
    (clean / name).write_text(text)
    with pytest.raises(SettingsError) as refused:
        load()
    assert complaint in str(refused.value)


def test_all_complaints_come_at_once(monkeypatch):
    monkeypatch.setenv("FHIR_HTTP_PORT", "0")
    monkeypatch.setenv("FHIR_SEARCH_HANDLING", "loose")
    with pytest.raises(SettingsError) as refused:
        load()
    assert len(refused.value.complaints) == 2


def test_reserved_names_are_no_settings(monkeypatch):
    monkeypatch.setenv("FHIR_SUITES", "/nowhere")
    load()


def test_every_setting_can_come_from_its_variable(monkeypatch):
    values = {
        "mongodb.uri": "mongodb://h/?replicaSet=r",
        "cursor.key": "k" * 32,
        "http.base_url": "https://h/r4/",
        "validation.profiles": "Patient=https://h/p",
        "auth.issuers": '[{"issuer": "https://h", "clients": {"c": {"kind": "app"}}}]',
        "auth.origins": "https://h",
        "limits.requests": "off",
        "http.proxies": "10.0.0.0/8",
        "http.hosts": "space.example",
        "limits.anonymous": "60/minute",
        "audit.mode": "off",
        "sandbox.clock": "2026-01-01T00:00:00Z",
        "auth.smart": '{"token_endpoint": "https://h/token"}',
    }
    for name, field in fields().items():
        default = field.get_default(call_default_factory=True)
        monkeypatch.setenv(variable(name), values.get(name, str(default) if default is not None else "x"))
    settings = load()
    assert settings.http.base_url == "https://h/r4"
    assert set(origins()) == set(fields())


def test_every_setting_and_section_is_documented():
    assert [name for name, field in fields().items() if not field.description] == []
    assert [name for name, model in sections().items() if not model.__doc__] == []


def test_secrets_are_masked(monkeypatch):
    monkeypatch.setenv("FHIR_MONGODB_URI", "mongodb://user:pass-word@h/")
    monkeypatch.setenv("FHIR_CURSOR_KEY", "s3cret" * 6)
    text = repr(load()) + load().model_dump_json()
    assert "pass-word" not in text
    assert "s3cret" not in text


def test_cursor_key_is_made_once_and_private(clean, monkeypatch):
    first = cursor_key(load())
    assert len(first) == 32
    assert cursor_key(load()) == first
    [file] = (clean / "home" / "fhir-server").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.setenv("FHIR_CURSOR_KEY", "k" * 32)
    assert len(cursor_key(load())) == 32
    assert cursor_key(load()) != first


def test_secrets_come_from_files(tmp_path, monkeypatch):
    file = tmp_path / "cursor"
    file.write_text("k" * 40 + "\n")
    monkeypatch.setenv("FHIR_CURSOR_KEY_FILE", str(file))
    assert load().cursor.key.get_secret_value() == "k" * 40
    assert origins()["cursor.key"] == "file of FHIR_CURSOR_KEY_FILE"


def test_a_secret_is_given_once_and_its_file_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("FHIR_CURSOR_KEY_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("FHIR_CURSOR_KEY", "k" * 40)
    with pytest.raises(SettingsError) as refused:
        load()
    assert "both set" in refused.value.complaints[0]
    assert "can't be read" in refused.value.complaints[1]


def test_only_secrets_have_files(monkeypatch):
    monkeypatch.setenv("FHIR_HTTP_PORT_FILE", "/tmp/port")
    with pytest.raises(SettingsError, match="FHIR_HTTP_PORT_FILE"):
        load()
