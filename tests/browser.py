"""A real browser for tests: Chromium without a window, driven by Playwright, that never asks a network.

`with launch() as browser:` skips where Playwright or Chromium is missing; with NLILAB_BROWSER=required it fails.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Chromium asks its maker's servers for many things of its own accord; tests have no network and want none.
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def launch() -> "Iterator[Browser]":
    """A running Chromium, closed at the end.

    Skips (or, where the environment says NLILAB_BROWSER=required, fails) with the reason where there is none.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("Playwright is not installed: pip install playwright")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        _missing(f"none of {', '.join(NAMES)} is on PATH: install Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


def watch(page: "Page") -> list[str]:
    """A list that fills with what must not happen on a page: script errors, console errors, failed requests."""
    seen: list[str] = []
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("console", lambda message: seen.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("requestfailed", lambda request: seen.append(f"failed: {request.url}"))
    return seen


def _missing(why: str) -> NoReturn:
    if os.environ.get("NLILAB_BROWSER") == "required":
        pytest.fail(why)
    pytest.skip(why)
