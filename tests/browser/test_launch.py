"""SMART launches by the clients that vendors use, in a browser, through the page that asks for consent.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions.content import examples_that_pass

CLIENTS = Path(__file__).parents[2] / "examples" / "clients"
WHO = "camille-exemple"
NAME = "Camille"


@pytest.fixture(scope="module")
def base(site_with):
    """The FHIR base of a server with a citizen, her measures, and the development authorization server."""
    with site_with({}) as client:
        for type_, id_, body in examples_that_pass():
            if type_ in ("Patient", "Observation") and (
                id_ == WHO or decode(body).get("subject") == {"reference": f"Patient/{WHO}"}
            ):
                answer = client.put(
                    f"/fhir/{type_}/{id_}", content=body, headers={"Content-Type": "application/fhir+json"}
                )
                assert answer.status_code == 201, answer.text
    with site_with({"auth.dev_server": True}) as client:
        yield str(client.base_url.join("/fhir"))


@contextmanager
def running(command, folder):
    """Run an app; give the address of its standalone launch."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("standalone launch: "), process.stderr.read()
        yield line.split(": ")[1].strip()
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture(scope="module")
def web_app(base, javascript):
    with running(["node", "smart_app.mjs", base, "0"], javascript) as address:
        yield address


@pytest.fixture(scope="module")
def python_app(base):
    with running([sys.executable, "fhirclient_launch.py", base, "0"], CLIENTS) as address:
        yield address


def agree(page):
    """Do what the person does on the page that asks for consent."""
    expect(page.get_by_role("heading", level=1)).to_contain_text("Let ")
    page.get_by_label(NAME).first.check()
    page.get_by_role("button", name="Allow").click()


def launch_from_record(page, base, app):
    """Choose app and patient as in a record system."""
    page.goto(base.replace("/fhir", "/auth/launch"))
    page.get_by_label("App").select_option(label=app)
    page.get_by_label("Whose record?").select_option(value=WHO)
    page.get_by_role("button", name="Start").click()


def shows_and_renews(page):
    expect(page.locator("#name")).to_contain_text(NAME)
    assert page.locator("#measures tr").count() == 10
    expect(page.locator("#who")).to_contain_text(f"signed in as Patient/{WHO}")
    page.get_by_role("button", name="Renew").click()
    expect(page.locator("#renewed")).to_contain_text("Renewed; ")


def test_standalone_launch_of_fhirclient_js(page, web_app):
    page.goto(web_app)
    page.get_by_role("link", name="Sign in").click()
    agree(page)
    shows_and_renews(page)


def test_ehr_launch_of_fhirclient_js(page, base, web_app):
    launch_from_record(page, base, "My measures")
    agree(page)
    shows_and_renews(page)


def test_a_launch_that_the_person_refuses(page, web_app):
    page.goto(web_app)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Refuse").click()
    expect(page.locator("#state")).to_contain_text("It did not work")
    expect(page.locator("#record")).to_be_hidden()


def test_a_scope_that_the_person_unticks_is_not_granted(page, web_app):
    page.goto(web_app)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("patient/Observation.rs").uncheck()
    agree(page)
    expect(page.locator("#state")).to_contain_text("It did not work")
    assert page.locator("#measures tr").count() == 0


def said_by_python(page):
    expect(page.get_by_role("status")).to_have_text(
        re.compile(rf".*{NAME}.* \(Patient/{WHO}\): 5 measures; access renewed\.")
    )


def test_standalone_launch_of_fhirclient_py(page, python_app):
    page.goto(python_app)
    agree(page)
    said_by_python(page)


def test_ehr_launch_of_fhirclient_py(page, base, python_app):
    launch_from_record(page, base, "Example of a Python app")
    agree(page)
    said_by_python(page)


def test_a_launch_by_a_server_that_the_app_does_not_know(page, python_app):
    page.goto(f"{python_app}launch?iss=https://elsewhere.example/fhir&launch=x")
    expect(page.get_by_role("status")).to_contain_text("does not know that server")
