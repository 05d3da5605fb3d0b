"""With keys, and the programs that the page writes."""

import json
import os
import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect
from served import make_clip

REFUSED = ("status of 401",)


def give_key(page, key, *, keep=False):
    dialog = page.get_by_role("dialog", name="Key")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Key, in the form").fill(key)
    dialog.get_by_label("Keep it in this browser").set_checked(keep)
    dialog.get_by_role("button", name="Use this key").click()


@pytest.mark.parametrize("by_queue", [False, True], ids=["stream", "queue"])
def test_the_page_asks_for_a_key_and_sends_it(open_page, keyed, key, by_queue):
    playground = open_page(keyed, allowed=REFUSED)
    page = playground.page
    expect(page.locator("#key-reason")).to_have_text("This server asks for a key.")
    give_key(page, "nonsense")
    expect(page.locator("#key-error")).to_contain_text("an id and a secret")
    give_key(page, key)
    expect(page.get_by_role("dialog", name="Key")).to_be_hidden()
    playground.drop(make_clip())
    assert playground.answer("hello", by_queue=by_queue) == "echo: hello"
    assert len(playground.frame_times()) >= 2
    expect(page.locator(".usage")).to_contain_text("$0.0000")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator("#price")).to_contain_text("tokens to read")


def test_a_key_that_is_not_valid_is_refused_in_words(open_page, keyed, key):
    playground = open_page(keyed, allowed=REFUSED)
    page = playground.page
    give_key(page, "wrong:secret")
    expect(page.locator("#key-reason")).to_have_text("This server asks for a key.")
    give_key(page, key)
    expect(page.get_by_role("dialog", name="Key")).to_be_hidden()


@pytest.mark.parametrize("keep", [False, True])
def test_a_key_lasts_as_long_as_the_person_wants(open_page, keyed, key, keep):
    playground = open_page(keyed, allowed=REFUSED)
    page = playground.page
    give_key(page, key, keep=keep)
    expect(page.get_by_role("dialog", name="Key")).to_be_hidden()
    playground.open()
    expect(page.get_by_role("dialog", name="Key")).to_be_hidden()
    assert page.evaluate("localStorage.getItem('omnireel.key')") == (key if keep else None)
    assert page.evaluate("sessionStorage.getItem('omnireel.key')") == (None if keep else key)
    page.get_by_role("button", name="Key", exact=True).click()
    page.get_by_role("button", name="Remove", exact=True).click()
    assert page.evaluate(
        "[localStorage.getItem('omnireel.key'), sessionStorage.getItem('omnireel.key')]"
    ) == [None, None]


HARD = "It's \"hard\": $(touch owned) `touch owned` \\ 'x' \U0001f3a5 </b>"
RUNNERS = {
    "curl": ["bash", "-euo", "pipefail"],
    "Python": [sys.executable],
    "JavaScript": ["node", "--input-type=module"],
}


@pytest.mark.parametrize("language", RUNNERS)
def test_the_programs_ask_the_same_question(open_page, echo, tmp_path, language):
    playground = open_page(echo, permissions=["clipboard-read", "clipboard-write"])
    page = playground.page
    name = "it's a clip.mp4"
    (tmp_path / name).write_bytes(make_clip())
    playground.drop(make_clip(), name=name)
    page.get_by_role("textbox", name="Question").fill(HARD)
    page.get_by_text("Options", exact=True).click()
    page.locator("#max_tokens").fill("4")
    page.locator("#use_audio").select_option("false")
    page.get_by_text("Use it from a program").click()
    page.get_by_role("button", name=language, exact=True).click()
    page.locator("#copy").click()
    expect(page.locator("#copied")).to_have_text("Copied")
    program = page.evaluate("navigator.clipboard.readText()")
    assert program == page.locator("#snippet").text_content()
    environment = {"PATH": os.environ["PATH"], "no_proxy": "127.0.0.1", "HOME": str(tmp_path)}
    ran = subprocess.run(
        RUNNERS[language],
        input=program,
        encoding="utf-8",
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    output = json.loads(ran.stdout)["output"] if language == "curl" else ran.stdout.rstrip("\n")
    assert output == 'echo: It\'s "hard": $(touch'
    assert not (tmp_path / "owned").exists()


def test_without_a_clip_the_program_has_an_address_to_replace(open_page, echo):
    page = open_page(echo).page
    page.get_by_text("Use it from a program").click()
    expect(page.locator("#snippet")).to_contain_text("https://example.com/clip.mp4")
    expect(page.locator("#snippet")).to_contain_text(re.compile("What is moving"))
