"""Many scripts: their order, time limits, the log from which a run goes on."""

from __future__ import annotations

import pytest

from fhir_server.testscript import Endpoints, Log
from tests.testscript.stub import Fault, spoiled


@pytest.fixture
def three(written):
    return [written([{"read": f"Patient/none-{n}"}, {"status": 404}]) for n in range(3)]


def test_results_come_in_the_order_of_the_scripts(run, three):
    told = []
    result = run(three, jobs=3, finished=told.append)
    assert [s.digest for s in result.scripts] == [s.digest for s in three]
    assert len(told) == 3
    assert (result.result, result.counts()["pass"]) == ("pass", 3)


def test_a_run_goes_on_from_its_log(run, three, tmp_path, base):
    file = tmp_path / "run.log"
    first = run(three[:2], log=Log(file, base))
    with file.open("ab") as log:
        log.write(b'{"base": "half a li')
    again = run(three, log=Log(file, base))
    assert again.scripts[:2] == first.scripts
    assert len(file.read_bytes().splitlines()) == 3


def test_a_changed_script_is_run_again(run, written, tmp_path, base):
    file = tmp_path / "run.log"
    run([written([{"read": "Patient/none"}, {"status": 404}])], log=Log(file, base))
    result = run([written([{"read": "Patient/none"}, {"status": 200}])], log=Log(file, base))
    assert result.result == "fail"


def test_a_script_that_lost_its_server_is_run_again(run, three, tmp_path, base):
    file = tmp_path / "run.log"
    gone = Endpoints({1: "http://127.0.0.1:9/fhir"})
    assert run(three, endpoints=gone, log=Log(file, base)).result == "error"
    assert run(three, log=Log(file, base)).result == "pass"


def test_a_log_of_another_server_or_another_kind_is_refused(run, three, tmp_path, base):
    file = tmp_path / "run.log"
    run(three[:1], log=Log(file, base))
    with pytest.raises(ValueError, match=r"belongs to a run against http://127"):
        Log(file, "http://elsewhere/fhir")
    file.write_text("no log\n")
    with pytest.raises(ValueError, match="no log of this command"):
        Log(file, base)


def test_the_time_limit_of_a_run(run, three):
    result = run(three, limit_s=0.0)
    assert [s.error for s in result.scripts] == [
        "The time limit of the run was reached before this script began."
    ] * 3
    assert (result.result, result.counts()["error"]) == ("error", 3)


def test_the_time_limits_of_a_script_and_an_answer(run, written, site):
    import threading

    held = threading.Event()
    with spoiled(str(site.base_url), Fault("slow", "", ask=lambda _: held.wait(5))) as slow:
        script = written([{"read": "Patient/a"}, {"status": 404}])
        [result] = run([script], endpoints=Endpoints({1: slow}, timeout_s=0.2)).scripts
        assert result.phases[0].steps[0].message.startswith("No answer came: ReadTimeout")
        held.set()
        many = written([{"read": "Patient/a"} for _ in range(3)])
        [result] = run([many], endpoints=Endpoints({1: slow}), script_limit_s=-1.0).scripts
    assert {step.message for _, step in result.steps()} == {"The time limit of the script was reached."}
