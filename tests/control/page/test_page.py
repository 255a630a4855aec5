"""The page at `/` in a real browser: every button, a resync that is seen, a token that is asked for."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tap.control.page import HEADERS, POLICY
from tap.replication.events import Opaque, ResyncRefused, Side
from tests.control.asking import Asked, asked
from tests.support import ROOT, WITHIN, Servers, client, follow, wait_until

STATIC = ROOT / "tap" / "control" / "page" / "static"
TOKEN = "a token of the tests"
TIMEOUT = WITHIN * 1000


# ---- the files ----


def test_every_file_is_served_with_its_type_and_a_strict_policy() -> None:
    with asked() as tap:
        for path, kind in (
            ("/", "text/html"),
            ("/page/app.js", "text/javascript"),
            ("/page/style.css", "text/css"),
            ("/page/icon.svg", "image/svg+xml"),
        ):
            reply = tap.client.get(path)
            assert reply.status == 200
            assert reply.headers["content-type"].startswith(kind)
            assert HEADERS.items() <= dict(reply.headers).items()
        assert "unsafe" not in POLICY
        for path in ("/page/", "/page/nothing.js", "/page/..%2f__init__.py", "/page/__init__.py"):
            assert tap.client.get(path).status == 404


def test_all_of_it_is_less_than_a_thousand_lines_and_comes_from_here() -> None:
    files = {path.name: path.read_text() for path in STATIC.iterdir()}
    assert sum(text.count("\n") for text in files.values()) < 1000
    for name, text in files.items():
        for url in re.findall(r"""(?:https?:)?//[\w.]+[^\s"'`)]*""", re.sub(r"(?m)^\s*//.*$|;\s*//.*$", "", text)):
            assert url == "http://www.w3.org/2000/svg", (name, url)
        imported = re.findall(r'from "\./([a-z]+\.js)"', text)
        assert set(imported) <= files.keys()
    named = re.findall(r'(?:href|src)="/page/([^"]+)"', files["index.html"])
    assert set(named) <= files.keys()
    assert not re.search(r"<script>|<style|\son[a-z]+=|\sstyle=", files["index.html"])


# ---- in a browser ----


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@contextlib.contextmanager
def opened(browser: Any, tap: Asked, errors: bool = False, **options: Any) -> Iterator[Any]:
    """The page, which must have no error in its console. errors: of refused requests are expected."""
    with contextlib.closing(browser.new_context(**options)) as context:
        context.set_default_timeout(TIMEOUT)
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"http://{tap.address}/")
        page.get_by_text("connected", exact=True).wait_for()
        yield page
        assert errors or said == []


@pytest.mark.long
def test_a_pair_its_resyncs_and_its_faults_are_seen(
    browser: Any, servers: Servers, any_server: str, tmp_path: Path
) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    options: dict[str, Any] = {"links": f"127.0.0.1:{master.port}", "record_to": tmp_path / "one.pcapng"}
    with asked(**options) as tap, opened(browser, tap, errors=True) as page:
        page.get_by_text("No replica. On the replica: REPLICAOF").wait_for()
        follow(replica, tap.thread.port)
        page.locator("#resync-list").get_by_text("full resync").wait_for()
        page.locator("#link-list").get_by_text("stream", exact=True).wait_for()
        page.locator("#sequence text").filter(has_text="REPLCONF").first.wait_for()
        client(master).set("key", "value")
        page.locator("#command-list").get_by_text("SET", exact=True).wait_for()
        page.locator("#link-list svg polyline").first.wait_for(state="attached")

        page.get_by_label("Fault", exact=True).select_option("delay")
        assert "delay 200ms" in page.get_by_label("Spec").input_value()
        page.get_by_label("Fault", exact=True).select_option("cut")
        page.get_by_label("Place").select_option("stream")
        page.get_by_label("Link", exact=True).select_option("main")
        assert page.get_by_label("Spec").input_value() == "cut at=stream mode=reset link=main"
        page.get_by_label("Spec").fill("cut name=once")
        page.get_by_role("button", name="Arm").click()
        page.get_by_text("once is armed.").wait_for()
        page.locator("#fault-list").get_by_text("once").first.wait_for()
        page.locator("#resync-list").get_by_text("partial resync").wait_for()

        page.get_by_label("Spec").fill("delay 1ms name=slow")
        page.get_by_role("button", name="Arm").click()
        page.get_by_role("button", name="Remove slow").click()
        page.get_by_text("slow is removed.").wait_for()
        page.get_by_label("Spec").fill("delay 1ms name=again")
        page.get_by_role("button", name="Arm").click()
        page.get_by_text("again is armed.").wait_for()
        page.get_by_role("button", name="Remove all").click()
        page.get_by_text("1 removed.").wait_for()
        assert not tap.thread.tap.faults.armed
        page.get_by_label("Spec").fill("cutt")
        page.get_by_role("button", name="Arm").click()
        page.get_by_text("Did you mean 'cut'?").wait_for()

        page.get_by_label("Mark").fill("deployment <b>1234</b>")
        page.get_by_role("button", name="Mark", exact=True).click()
        page.locator("#gap-list").get_by_text("deployment <b>1234</b>").wait_for()
        page.get_by_role("button", name="Next file").click()
        wait_until(lambda: page.locator("#said").text_content())
        page.get_by_label("Only").fill("full_resync")
        page.locator("#event-list").get_by_text("full_resync").first.wait_for()
        assert page.locator("#event-list").get_by_text("link_opened").count() == 0
        (chosen,) = page.get_by_label("Connection").locator("option").all()[-1:]
        page.get_by_label("Connection").select_option(chosen.get_attribute("value"))


def test_the_theme_is_switched_and_kept(browser: Any) -> None:
    with asked() as tap, opened(browser, tap, color_scheme="dark") as page:
        assert page.locator("html").get_attribute("data-theme") == "dark"
        page.get_by_role("button", name="Dark").click()
        assert page.locator("html").get_attribute("data-theme") == "light"
        page.reload()
        page.get_by_text("connected", exact=True).wait_for()
        assert page.locator("html").get_attribute("data-theme") == "light"


@pytest.mark.parametrize("width", [360, 3840])
def test_nothing_is_wider_than_the_window(browser: Any, width: int) -> None:
    with asked() as tap, opened(browser, tap, viewport={"width": width, "height": 740}) as page:
        page.get_by_text("No replica").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_every_field_and_button_has_a_name_and_the_keyboard_reaches_them(browser: Any) -> None:
    with asked() as tap, opened(browser, tap) as page:
        nameless = page.evaluate(
            "[...document.querySelectorAll('input, select, button, a')]"
            ".filter((one) => !(one.labels?.length || one.textContent.trim() || one.ariaLabel)).map((one) => one.id)"
        )
        assert nameless == []
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the links"
        page.keyboard.press("Enter")
        page.get_by_label("Spec").focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("delay 1ms name=typed")
        page.keyboard.press("Enter")
        page.get_by_text("typed is armed.").wait_for()


def test_a_token_is_asked_for(browser: Any) -> None:
    with asked(token=TOKEN) as tap:
        credentials = {"username": "", "password": TOKEN}
        with opened(browser, tap, http_credentials=credentials) as page:
            page.get_by_text("No replica").wait_for()
        with contextlib.closing(tap.another()) as stranger:
            assert stranger.get("/").headers["www-authenticate"].startswith("Basic ")


def test_a_read_only_tap_offers_no_button(browser: Any) -> None:
    with asked(read_only=True) as tap, opened(browser, tap) as page:
        page.get_by_text("This tap is read-only").wait_for()
        assert page.get_by_role("button", name="Arm").count() == 0


def test_it_says_that_the_tap_is_gone(browser: Any) -> None:
    with contextlib.ExitStack() as stack:
        tap = stack.enter_context(asked())
        with opened(browser, tap, errors=True) as page:
            page.get_by_text("No replica").wait_for()
            stack.close()
            page.get_by_text("not connected: trying again").wait_for()
            page.get_by_text("The tap does not answer").wait_for()


def test_text_from_outside_is_text(browser: Any) -> None:
    planted = '"><img src=x onerror=alert(1)>'
    with asked() as tap, opened(browser, tap) as page:

        def publish() -> None:
            bus = tap.thread.tap.bus
            bus.publish("main", 1, planted, Opaque(start=0, end=1, side=Side.MASTER, reason=planted))
            bus.publish("main", 1, planted, ResyncRefused(start=0, end=1, reply=planted))

        tap.thread.call(publish)
        page.locator("#event-list").get_by_text(planted).first.wait_for()
        page.locator("#resync-list").get_by_text(planted).first.wait_for()
        page.locator("#sequence text").filter(has_text=planted).first.wait_for()
        assert page.locator("img").count() == 0
