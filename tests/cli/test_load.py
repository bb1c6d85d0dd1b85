"""``load`` into a running server: what is stored, what is rejected, resuming, interrupting."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from fhir_server.definitions.content import content_folder
from fhir_server.settings import Settings


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.fixture
def load(served):
    def run(*arguments, stdin=""):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
        return subprocess.run(
            [sys.executable, "-m", "fhir_server", "load", "--base", served, *map(str, arguments)],
            input=stdin, capture_output=True, text=True, timeout=120, env=environment, check=False,
        )  # fmt: skip

    return run


def weight(id_, value="72.50"):
    return (
        f'{{"resourceType":"Observation","id":"{id_}","status":"final","code":{{"text":"Body weight"}},'
        f'"valueQuantity":{{"value":{value},"unit":"kg"}}}}'
    )


def test_ndjson_compressed_and_again(load, served, tmp_path):
    file = tmp_path / "weights.ndjson.gz"
    file.write_bytes(gzip.compress("\n".join(weight(f"gz-{n}") for n in range(50)).encode()))
    result = load(file)
    assert (result.returncode, result.stdout) == (0, "50 created, 0 updated, 0 rejected\n")
    assert load(file).stdout == "0 created, 50 updated, 0 rejected\n"
    with urllib.request.urlopen(f"{served}/Observation/gz-7", timeout=10) as answer:
        assert b'"value":72.50' in answer.read()


def transaction(*entries):
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": list(entries)})


def entry(url, resource, full_url=None, **request):
    made = {"resource": resource, "request": {"method": "POST", "url": url, **request}}
    return made | {"fullUrl": full_url} if full_url else made


def test_a_transaction_from_standard_input_is_stored_whole(load, served):
    patient, observation = (f"urn:uuid:6f000000-0000-4000-8000-00000000000{n}" for n in (1, 2))
    reading = json.loads(weight("x")) | {
        "subject": {"reference": patient},
        "identifier": [{"value": "whole"}],
    }
    entries = [
        entry("Observation", reading, observation),
        entry("Patient", {"resourceType": "Patient", "gender": "female"}, patient),
    ]
    assert load("-", stdin=transaction(*entries)).stdout == "2 created, 0 updated, 0 rejected\n"
    [found] = get(f"{served}/Observation?identifier=whole")["entry"]
    assert found["resource"]["id"] != "x"
    assert get(f"{served}/{found['resource']['subject']['reference']}")["gender"] == "female"
    bad = [*entries, entry("Patient", {"resourceType": "Patient", "gender": "wrong"})]
    result = load("-", stdin=transaction(*bad))
    assert (result.returncode, result.stdout) == (1, "0 created, 0 updated, 1 rejected\n")
    assert "Bundle.entry[2].resource.gender" in result.stderr
    assert len(get(f"{served}/Observation?identifier=whole")["entry"]) == 1


def test_the_entries_of_a_transaction_one_by_one(load, served):
    patient, observation = (f"urn:uuid:6f000000-0000-4000-8000-00000000000{n}" for n in (1, 2))
    text = transaction(
        entry("Observation", json.loads(weight("x")) | {"subject": {"reference": patient}}, observation),
        entry("Patient", {"resourceType": "Patient", "gender": "female"}, patient),
    )
    assert load("-", "--unpack", stdin=text).stdout == "2 created, 0 updated, 0 rejected\n"
    assert get(f"{served}/Observation/x")["subject"] == {"reference": f"Patient/{patient[9:]}"}
    assert get(f"{served}/Patient/{patient[9:]}")["gender"] == "female"


def test_what_transactions_refer_to_by_search_may_come_after_them(load, served, tmp_path):
    reading = json.loads(weight("y")) | {
        "identifier": [{"value": "late"}],
        "subject": {"reference": "Patient?identifier=comes-later"},
    }
    person = {"resourceType": "Patient", "identifier": [{"value": "comes-later"}]}
    (tmp_path / "a.json").write_text(transaction(entry("Observation", reading)))
    (tmp_path / "b.json").write_text(
        transaction(entry("Patient", person, ifNoneExist="identifier=comes-later"))
    )
    assert load(tmp_path, "--jobs", "1").stdout == "2 created, 0 updated, 0 rejected\n"
    [found] = get(f"{served}/Observation?identifier=late")["entry"]
    assert get(f"{served}/{found['resource']['subject']['reference']}")["identifier"] == person["identifier"]


def test_without_an_id_the_server_chooses(load):
    text = '{"resourceType":"Patient","name":[{"family":"Unnumbered"}]}'
    assert load("-", stdin=text).stdout == "1 created, 0 updated, 0 rejected\n"


def test_rejections_and_resuming(load, tmp_path):
    file, checkpoint = tmp_path / "mixed.ndjson", tmp_path / "load.json"
    bad = weight("r-2").replace('"final"', '"finished"')
    file.write_text("\n".join([weight("r-1"), bad, "{broken", weight("r-3")]) + "\n")
    result = load(file, "--resume", checkpoint)
    assert (result.returncode, result.stdout) == (1, "2 created, 0 updated, 2 rejected\n")
    assert f"{file}:2: Observation/r-2 4" in result.stderr
    assert "Observation.status: " in result.stderr
    assert f"{file}:3: rejected\n    This is not a JSON resource" in result.stderr
    again = load(file, "--resume", checkpoint)
    assert (again.returncode, again.stdout) == (1, "0 created, 0 updated, 2 rejected, 2 done before\n")


def test_an_interrupted_load_goes_on(load, served, tmp_path):
    file, checkpoint = tmp_path / "many.ndjson", tmp_path / "load.json"
    file.write_text("\n".join(weight(f"many-{n}") for n in range(20_000)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fhir_server", "load", "--base", served, str(file), "--resume", str(checkpoint), "--jobs", "4"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    noted = json.loads(checkpoint.read_text())["sources"][str(file)]
    done = noted["until"] + len(noted["also"])
    assert 0 < done < 20_000
    for n in (0, noted["until"] - 1):
        assert get(f"{served}/Observation/many-{n}")["id"] == f"many-{n}"


def test_the_examples_load_and_the_bad_ones_do_not(load):
    good = load(content_folder("examples") / "pass")
    assert good.returncode == 0, good.stderr
    folder = content_folder("examples") / "fail"
    expected = json.loads((folder / "expected.json").read_text())
    warned = Settings().validation.warning_rules
    files = [
        str(folder / name) for name, issue in sorted(expected.items()) if issue.get("rule") not in warned
    ]
    bad = load(*files)
    assert bad.returncode == 1
    assert bad.stdout == f"0 created, 0 updated, {len(files)} rejected\n", bad.stdout
