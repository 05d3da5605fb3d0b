"""Accessibility, speed, and pictures of the page at three widths in light and dark.

The pictures are written to build/screenshots. README.md shows a copy of desktop-light.png.
"""

import io
import time
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect
from served import make_clip

PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
WIDTHS = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1280, 1010)}
MAX_PICTURE = 200_000
MAX_FIRST_LOAD = 150_000
AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


def violations(page):
    """What axe finds, each with the elements concerned."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [(item["id"], [node["html"][:200] for node in item["nodes"]]) for item in found]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_and_a_picture_is_taken(open_page, demo, width, colours):
    size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
    playground = open_page(demo, viewport=size, color_scheme=colours, reduced_motion="reduce")
    page = playground.page
    assert violations(page) == [], "empty"
    page.get_by_text("Options", exact=True).click()
    page.get_by_text("Use it from a program").click()
    page.locator("#temperature").fill("9")
    page.get_by_role("button", name="Ask", exact=True).click()
    assert violations(page) == [], "with errors, options and code"
    page.locator("#temperature").fill("0")
    page.get_by_text("Options", exact=True).click()
    page.get_by_text("Use it from a program").click()
    playground.sample()
    playground.answer("How many shapes are there?", by_queue=True)
    page.get_by_label("Think first").check()
    playground.answer("What is moving, and which way?")
    expect(page.locator("#frames .share")).not_to_have_count(0)
    take_picture(page, f"{width}-{colours}", whole=width != "desktop")
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"], (
        "nothing is cut off at the side"
    )
    page.get_by_text("Reasoning", exact=True).first.click()
    page.get_by_text("Log", exact=True).last.click()
    assert violations(page) == [], "with answers"
    page.get_by_role("button", name="History").click()
    expect(page.locator("#history li")).to_have_count(2)
    assert violations(page) == [], "history"
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Key", exact=True).click()
    assert violations(page) == [], "key"


def take_picture(page, name, *, whole):
    """Write a picture of the page, of all its length or of what fits into the window."""
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    picture = Image.open(io.BytesIO(page.screenshot(full_page=whole)))
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    picture.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    assert path.stat().st_size < MAX_PICTURE


def test_the_theme_can_be_chosen_and_is_kept(open_page, echo):
    playground = open_page(echo, color_scheme="dark")
    page = playground.page
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    button = page.get_by_role("button", name="Colours")
    button.click()
    expect(button).to_have_accessible_name("Colours: Light")
    light = page.evaluate(background)
    assert light != dark
    playground.open()
    assert page.evaluate(background) == light
    button.click()
    assert page.evaluate(background) == dark


def test_everything_can_be_done_with_the_keyboard(open_page, demo):
    page = open_page(demo).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the question")).to_be_focused()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        if reached[-1] == "sample":
            page.keyboard.press("Enter")
            page.locator("#change-clip").wait_for()
            page.locator("#prompt").focus()
        if reached[-1] == "suggestion":
            page.keyboard.press("Enter")
            expect(page.locator("#ask")).to_be_focused()
            break
    assert {"open-history", "open-key", "theme", "choose", "record", "use-address", "sample"} <= set(reached)
    page.locator("#prompt").focus()
    page.keyboard.press("Control+Enter")
    answer = page.locator(".answer")
    expect(answer).to_have_attribute("data-state", "done")
    expect(answer.locator(".text")).to_contain_text("circle")


def test_it_is_usable_soon_and_small(open_page, echo):
    """The size is held; the time is printed, because machines differ."""
    playground = open_page(echo)
    page = playground.page
    sizes = []
    page.on("requestfinished", lambda request: sizes.append((request.url, request.sizes())))
    page.route("**/*", lambda route: route.continue_())  # also switches off the browser's cache
    started = time.perf_counter()
    playground.open()
    took = time.perf_counter() - started
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    total = sum(size["responseBodySize"] + size["responseHeadersSize"] for _, size in sizes)
    of_the_page = sum(
        size["responseBodySize"] for url, size in sizes if "/playground/" in url or url == f"{echo.url}/"
    )
    print(
        f"\nfirst load: {total} bytes in {len(sizes)} answers, {of_the_page} of them the page; first paint "
        f"{first:.0f} ms, usable {took * 1000:.0f} ms"
    )
    assert len(sizes) > 10
    assert total < MAX_FIRST_LOAD


def test_a_long_answer_and_a_long_word_stay_inside(open_page, echo):
    playground = open_page(echo, viewport={"width": 390, "height": 844})
    playground.drop(make_clip(), name="a_very_long_name_" * 8 + ".mp4")
    playground.answer("x" * 3000 + "\n\n" + "many words " * 200)
    assert playground.page.evaluate("document.documentElement.scrollWidth") == 390
