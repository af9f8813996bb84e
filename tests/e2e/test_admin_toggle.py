"""The page of the data source in a real browser, with a real worker and the sandbox's Fitbox behind it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from schedule import demo
from tests.installation import Installation, demo_database, installation

__all__ = ["demo_database", "installation"]
SETTINGS = "**/api/v1/admin/timetable-settings"
LONG_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def running(installation: Installation) -> Installation:
    installation.start_web()
    return installation


@pytest.fixture
def source_page(running: Installation, browser: Browser) -> Iterator[Any]:
    """Open the page as the demo's manager; what the browser complains about (its policy, missing files) fails the test."""
    complaints: list[str] = []
    contexts = []

    def opened(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        if not options.get("bypass_csp"):
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{running.url}/admin/timetable-source/")
        page.fill("#id_username", demo.LOGINS[0].name)
        page.fill("#id_password", demo.LOGINS[0].password)
        page.click("input[type=submit]")
        expect(page.get_by_role("heading", name="Timetable Data Source", level=1)).to_be_visible()
        return page

    yield opened
    for context in contexts:
        context.close()
    # A refusal that the page puts into words is no complaint of its own.
    assert [text for text in complaints if "503" not in text and "400" not in text] == []


@pytest.mark.req("TT-22", "X-32")
def test_sync_now_shows_its_progress_and_the_first_sync(running: Installation, source_page: Any) -> None:
    page = source_page()
    expect(page.locator("#sync dd").first).to_have_text("Never")
    page.get_by_role("button", name="Sync Now").click()
    button = page.locator("#sync-form button")
    expect(button).to_have_text("Syncing...")
    expect(button).to_be_disabled()
    expect(page.locator("#progress")).to_have_text("Waiting for a worker")
    running.start_worker()
    # The worker's message expired or came: beat, which would say it again, is not running here.
    expect(page.locator("#said")).to_contain_text("Synced: ", timeout=LONG_MS)
    expect(button).to_have_text("Sync Now")
    expect(page.locator("#sync dd").first).not_to_have_text("Never")
    expect(page.locator("#members-see")).to_contain_text("Live from the booking system")


@pytest.mark.req("TT-22")
def test_sync_now_can_be_pressed_again_when_a_pause_is_over(running: Installation, source_page: Any) -> None:
    until = datetime.now(UTC) + timedelta(seconds=8)
    running.query("UPDATE sync_syncjob SET not_before = %s", until.strftime("%Y-%m-%d %H:%M:%S+00:00"))
    page = source_page()
    button = page.get_by_role("button", name="Sync Now")
    expect(button).to_be_disabled()
    expect(button).to_be_enabled(timeout=LONG_MS)


def test_on_a_telephone_a_refused_setting_is_seen_at_once(source_page: Any) -> None:
    page = source_page(viewport={"width": 390, "height": 800})
    page.get_by_label("Update interval").fill("4")
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("Nothing was saved.")).to_be_in_viewport()
    expect(page.get_by_role("link", name="Update interval")).to_be_in_viewport()


@pytest.mark.req("TT-19", "TT-21", "X-32")
def test_the_choice_is_disabled_while_it_is_saved(source_page: Any, running: Installation) -> None:
    page = source_page()
    expect(page.get_by_text("If you switch to Manual CMS")).to_be_visible()
    held: list[Route] = []
    page.route(SETTINGS, lambda route: held.append(route))  # noqa: PLW0108 - playwright refuses a built-in method
    page.get_by_label("Manual CMS").check()
    page.get_by_role("button", name="Use this source").click()
    expect(page.get_by_label("Manual CMS")).to_be_disabled()
    expect(page.locator("#source-form button")).to_have_text("Saving...")
    expect(page.locator("#source-form button")).to_be_disabled()
    held[0].continue_()
    expect(page.locator("#said")).to_have_text("Members now see the manual timetable.")
    expect(page.get_by_label("Manual CMS")).to_be_checked()
    expect(page.get_by_label("Manual CMS")).to_be_enabled()
    expect(page.locator("#changes li").first).to_contain_text("Switched to Manual CMS by manager, ")
    expect(page.get_by_role("button", name="Sync Now")).to_have_count(0)
    page.goto(f"{running.url}/timetable/")
    expect(page.get_by_role("status")).to_contain_text("Entered by our staff")


@pytest.mark.req("TT-19")
@pytest.mark.parametrize("trouble", ["refused", "unreachable"])
def test_a_failed_save_says_so_and_keeps_the_former_choice(source_page: Any, trouble: str) -> None:
    page = source_page()
    said = "It could not be saved just now; nothing was changed."
    if trouble == "refused":
        page.route(SETTINGS, lambda route: route.fulfill(status=503, json={"status": "error", "message": said}))
    else:
        said = "The choice could not be saved, so the former one holds."
        page.route(SETTINGS, lambda route: route.fulfill(status=503, body="<html>"))
    page.get_by_label("Manual CMS").check()
    page.get_by_role("button", name="Use this source").click()
    expect(page.locator("#said")).to_contain_text(said)
    expect(page.get_by_label("Fitbox Integration")).to_be_checked()
    expect(page.get_by_label("Manual CMS")).to_be_enabled()
    expect(page.get_by_role("button", name="Use this source")).to_be_enabled()


@pytest.mark.req("TT-19", "TT-21")
def test_without_script_the_choice_works_all_the_same(source_page: Any) -> None:
    page = source_page(java_script_enabled=False)
    page.get_by_label("Manual CMS").check()
    page.get_by_role("button", name="Use this source").click()
    expect(page.locator(".messagelist")).to_contain_text("Members now see the manual timetable.")
    expect(page.get_by_label("Manual CMS")).to_be_checked()


def test_a_connection_is_tested_in_place(source_page: Any, running: Installation) -> None:
    page = source_page()
    page.get_by_role("link", name="Fitbox (sandbox)").click()
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#test-result")).to_have_attribute("data-ok", "true")
    page.get_by_label("Key").fill("a key that nobody knows".replace(" ", "-"))
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#test-result")).to_contain_text("refused the key")
    expect(page.get_by_label("Key")).to_have_value("a-key-that-nobody-knows")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_needs_no_sideways_scrolling(source_page: Any, width: int) -> None:
    page = source_page(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_accessibility_fault_of_its_own(source_page: Any, scheme: str) -> None:
    page = source_page(color_scheme=scheme, bypass_csp=True)  # axe brings its own styles
    found = Axe().run(page, context="#source-page").response["violations"]
    assert [(fault["id"], [node["target"] for node in fault["nodes"]]) for fault in found] == []
