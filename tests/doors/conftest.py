"""A real headless Chromium that watches what every page asks for, and real servers to point it at."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from workbench_server import serving

from workbench.cli import main

# A page takes longer where other tests are at work beside it; one that is right is not waited for.
expect.set_options(timeout=60_000)

SCREENSHOTS = Path(__file__).parents[2] / "test-artifacts" / "screenshots"


@pytest.fixture
def command(capsys):
    """Run a command in this process; return its exit code, stdout and stderr."""

    def ran(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code, *capsys.readouterr()

    return ran


@pytest.fixture
def found(command):
    """Run a command that must succeed and say nothing beside it, and read its JSON."""

    def read(*words):
        code, out, error = command(*words, "--json")
        assert (code, error) == (0, "")
        return json.loads(out)

    return read


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running ``workbench lab``."""
    with serving("lab", tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")
def prefixed_lab(tmp_path_factory):
    """A running ``workbench lab`` as a hub would have it."""
    with serving("lab", tmp_path_factory.mktemp("prefixed"), prefix="/user/x/") as server:
        yield server


@pytest.fixture(scope="module")
def viewers(tmp_path_factory):
    """A running ``workbench apps``."""
    with serving("apps", tmp_path_factory.mktemp("apps")) as server:
        yield server


@pytest.fixture(scope="module")
def chromium():
    """A browser. Of this module only: an open Playwright would keep other tests from starting an event loop."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert path, "the browser tests need Chromium; see tests/system-packages.sh"
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open a fresh browser window and, at its end, look at everything that its pages asked for.

    ``with visit(own) as window:`` fails if a request, a websocket included, goes anywhere but to an address that
    starts with ``own``; if it is answered with a status of 400 or more; or if a page tells of an error.
    """

    @contextmanager
    def visited(own, **options):
        window = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        window.set_default_timeout(60_000)
        asked, faults = [], []

        def fault(text):
            faults.append(text)

        window.on("request", lambda request: asked.append(request.url))
        window.on("response", lambda answer: fault(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
        window.on("console", lambda line: fault(f"console: {line.text}") if line.type == "error" else None)
        window.on("weberror", lambda error: fault(f"error in the page: {error.error}"))
        window.on("page", lambda page: page.on("websocket", lambda socket: asked.append(socket.url)))
        window.asked = asked
        try:
            yield window
        finally:
            window.close()
        allowed = (own, own.replace("http://", "ws://"), "data:", "blob:")
        assert asked, "no page was opened"
        assert [url for url in asked if not url.startswith(allowed)] == []
        assert faults == []

    return visited


@pytest.fixture(scope="session")
def screenshot():
    """Keep a picture of a page for people, under a clear name."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def kept(page, name, **options):
        page.screenshot(path=SCREENSHOTS / f"{name}.png", **options)

    return kept
