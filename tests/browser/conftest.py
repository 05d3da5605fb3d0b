"""A browser for the session, servers to look at, and a page that has loaded."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from keyed import create_key
from playground_page import Playground
from playwright.sync_api import Browser, Page, expect, sync_playwright
from served import DemoServer, Server

# Only a test that fails waits so long.
expect.set_options(timeout=60_000)

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless, in a profile of its own."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", chromium_sandbox=False, args=FLAGS
        )
        yield launched
        launched.close()


def serving(server: type[Server], **variables: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), **variables) as running:
        yield running


@pytest.fixture(scope="session")
def demo() -> Iterator[Server]:
    """A server with the demo model."""
    yield from serving(DemoServer, OMP_NUM_THREADS="1")


@pytest.fixture(scope="session")
def echo() -> Iterator[Server]:
    """A server that repeats the prompt."""
    yield from serving(Server)


@pytest.fixture(scope="session")
def slow() -> Iterator[Server]:
    """A server that repeats the prompt, five words a second, one question at a time."""
    yield from serving(Server, OMNIREEL_ECHO_TOKEN_S="0.2", OMNIREEL_MAX_RUNNING="1")


@pytest.fixture(scope="session")
def keyed() -> Iterator[Server]:
    """A server that asks for keys."""
    yield from serving(Server, OMNIREEL_AUTH="keys")


@pytest.fixture
def key(keyed) -> str:
    # In a thread: the browser's driver keeps an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(create_key, keyed.folder).result()


@pytest.fixture
def open_page(browser, tmp_path) -> Iterator:
    """A function that opens the playground of a server in a new profile. It fails for any error of the page."""
    contexts, complaints = [], []

    def opened(server: Server, *, allowed: tuple[str, ...] = (), **options) -> Playground:
        context = browser.new_context(base_url=server.url, locale="en-GB", **options)
        contexts.append(context)
        page: Page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: (
                complaints.append(line.text)
                if line.type == "error" and not any(text in line.text for text in allowed)
                else None
            ),
        )
        playground = Playground(page, tmp_path)
        playground.open()
        return playground

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
