"""The HTML report of a conformance run, opened as a file as its readers do."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from fhir_server.testscript.reports import write_reports
from tests.browser.accessibility import violations
from tests.testscript.test_reports import REQUIREMENTS, RUN


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The address of a report with every result, and with markup in what the server sent."""
    [file] = write_reports(RUN, REQUIREMENTS, ["html"], tmp_path_factory.mktemp("report"))
    return file.as_uri()


def test_it_opens_without_error(page, report):
    page.on("dialog", lambda dialog: pytest.fail(f"what the server sent was run: {dialog.message}"))
    page.goto(report)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Conformance of {RUN.base}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_accessible(browser, report, scheme, width):
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(report)
    assert violations(page) == []
    page.evaluate("for (const it of document.querySelectorAll('details')) it.open = true")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_all_of_it_can_be_read_without_javascript(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)
    expect(page.get_by_role("search")).to_be_hidden()  # what would not work is not shown
    for script in RUN.scripts:
        details = page.locator(f"#s-{script.name}")
        if script.result not in ("fail", "error"):  # those stand open
            details.locator("summary").first.click()
        expect(details).to_have_attribute("open", "")
    expect(page.get_by_text("It is no TestScript.")).to_be_visible()
    context.close()


def test_search_by_words_and_by_result(page, report):
    page.goto(report)
    words = page.get_by_role("searchbox", name="Find")
    words.fill("title of GOOD")
    expect(page.get_by_role("status")).to_have_text("1 script shown")
    expect(page.locator("#s-good")).to_be_visible()
    expect(page.locator("#s-bad")).to_be_hidden()
    words.fill("")
    page.locator("#result").select_option("fail")
    expect(page.get_by_role("status")).to_have_text("2 scripts shown")
    expect(page.get_by_role("rowheader", name="r-4")).to_be_hidden()


def test_a_requirement_leads_to_its_test(page, report):
    page.goto(report)
    page.get_by_role("link", name="good").first.click()
    expect(page.locator("#s-good")).to_have_attribute("open", "")


def test_print_shows_everything(page, report):
    page.goto(report)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print")
    expect(page.get_by_role("search")).to_be_hidden()
    assert page.pdf().startswith(b"%PDF-")
