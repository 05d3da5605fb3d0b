"""A clip is dropped, asked about, streamed, cancelled, estimated, asked about again, and replayed from the history."""

import json
import os
import re
import subprocess
import sys

import httpx
import pytest
from playwright.sync_api import expect
from served import ENDPOINT_ID, data_uri, make_clip

from omnireel.api.pages.playground.static_files import SAMPLE, static_files

# Keeps every text that an answer had.
_WATCH_TEXTS = """() => {
    window.shown = [];
    const note = () => window.shown.push(document.querySelector(".answer .text")?.textContent ?? "");
    new MutationObserver(note).observe(document.querySelector("#answers"), { childList: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def sample_inspection(tmp_path_factory):
    """What `omnireel inspect` prints about the sample clip."""
    clip = tmp_path_factory.mktemp("sample") / SAMPLE
    clip.write_bytes(static_files()[SAMPLE].body.content)
    command = [
        sys.executable,
        "-c",
        "import omnireel.cli; omnireel.cli.main()",
        "inspect",
        str(clip),
        "?",
        "--json",
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMNIREEL_")}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=kept).stdout)["video"]


def test_the_page_says_which_model_answers_and_what_it_sees(open_page, demo, echo):
    page = open_page(demo).page
    expect(page.locator("#model")).to_have_text("Demo model")
    expect(page.locator("#sees")).to_contain_text("It knows simple shapes only")
    page = open_page(echo).page
    expect(page.locator("#sees")).to_contain_text("it repeats the question")
    expect(page.get_by_text("Use the sample clip")).to_have_count(0)


def test_the_demo_model_answers_the_questions_that_the_page_offers(open_page, demo):
    playground = open_page(demo)
    playground.sample()
    expected = {
        "What is moving, and which way?": "red circle moves right",
        "How many shapes are there?": "two",
        "Does the square move?": "so no",
    }
    offered = playground.page.locator(".suggestion").all_inner_texts()
    assert set(offered) == set(expected)
    playground.page.get_by_text("Options", exact=True).click()
    playground.page.get_by_label("Temperature").fill("0")
    for question in offered:
        playground.page.get_by_role("button", name=question).click()
        expect(playground.page.get_by_role("button", name="Ask", exact=True)).to_be_focused()
        assert expected[question] in playground.answer(question)


def test_the_frame_strip_is_what_inspect_reports_and_shows_what_was_kept(open_page, demo, sample_inspection):
    playground = open_page(demo)
    playground.sample()
    page = playground.page
    page.get_by_role("textbox", name="Question").fill("?")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator("#price")).to_contain_text("tokens to read")
    assert playground.frame_times() == pytest.approx(sample_inspection["frame_times_s"])
    indices = [int(frame.get_attribute("data-index")) for frame in page.locator("#frames .frame").all()]
    assert indices == sample_inspection["frame_indices"]
    expect(page.locator("#frames .share")).to_have_count(0)
    playground.answer("?")
    expect(page.locator("#frames .share")).not_to_have_count(0)
    body = {"prompt": "?", "video_url": data_uri(static_files()[SAMPLE].body.content), "report_video": True}
    video = httpx.post(f"{demo.url}/{ENDPOINT_ID}", json=body, timeout=60, trust_env=False).json()["video"]
    assert playground.frame_times() == pytest.approx(video["frame_times_s"])
    shares = [f"{round(t['kept_tokens'] / t['vision_tokens'] * 100)} %" for t in video["tubelets"]]
    assert page.locator("#frames .percent").all_inner_texts() == shares
    assert shares[0] == "100 %"
    for picture in page.locator("#frames img").all():
        assert picture.evaluate("image => image.complete && image.naturalWidth") == 160
    expect(page.locator(".sound")).to_have_text("The clip has no sound.")


def test_an_answer_is_shown_as_it_is_written(open_page, slow):
    playground = open_page(slow)
    playground.drop(make_clip())
    playground.page.evaluate(_WATCH_TEXTS)
    asked = playground.ask("one two three four five six seven eight")
    playground.expect_state(asked, "done")
    whole = "echo: one two three four five six seven eight"
    expect(asked.locator(".text")).to_have_text(whole)
    shown = [text for text in playground.page.evaluate("window.shown") if text]
    assert len(set(shown)) >= 3
    assert shown == sorted(shown, key=len)
    assert all(whole.startswith(text) for text in shown)
    expect(asked.locator(".usage")).to_contain_text("8 tokens read, 9 written · $0.000102")
    expect(playground.page.locator("#status")).to_have_text("The answer is complete.")


@pytest.mark.parametrize("by_queue", [False, True], ids=["stream", "queue"])
def test_a_question_can_be_cancelled(open_page, slow, by_queue):
    playground = open_page(slow)
    playground.drop(make_clip())
    asked = playground.ask("word " * 200, by_queue=by_queue)
    if by_queue:
        expect(asked.locator(".progress")).to_have_text("The server is working on it")
    else:
        expect(asked.locator(".text")).to_contain_text("echo: word")
    asked.get_by_role("button", name="Cancel").click()
    playground.expect_state(asked, "cancelled")
    expect(asked.get_by_role("alert")).to_contain_text("Cancelled.")
    # The server has stopped as well: another question is answered at once, although only one runs at a time.
    assert playground.answer("next") == "echo: next"


def test_the_queue_shows_positions_and_log_lines(open_page, slow):
    playground = open_page(slow)
    playground.drop(make_clip())
    first = playground.ask("word " * 300, by_queue=True)
    expect(first.locator(".progress")).to_have_text("The server is working on it")
    second, third = playground.ask("second", by_queue=True), playground.ask("third", by_queue=True)
    expect(second.locator(".progress")).to_have_text("Next in the queue")
    expect(third.locator(".progress")).to_have_text("1 before it in the queue")
    first.get_by_role("button", name="Cancel").click()
    for asked in (second, third):
        playground.expect_state(asked, "done")
    expect(third.locator(".text")).to_have_text("echo: third")
    third.get_by_text("Log", exact=True).click()
    lines = third.locator(".lines li").all_inner_texts()
    assert any("64x48" in line for line in lines)
    assert lines[-1] == "wrote 2 tokens"
    assert len(lines) == len(set(lines))


def test_an_estimate_names_tokens_and_price_and_changes_nothing(open_page, demo):
    playground = open_page(demo)
    playground.sample()
    page = playground.page
    page.get_by_role("textbox", name="Question").fill("What is moving, and which way?")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Most tokens").fill("50")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator("#price")).to_have_text(
        re.compile(r"^\d+ tokens to read, at most 50 to write: \$0\.00\d+ to \$0\.00\d+$")
    )
    expect(page.locator(".answer")).to_have_count(0)
    read = int(page.locator("#price").inner_text().split(" ")[0])
    playground.answer("What is moving, and which way?")
    expect(page.locator(".usage")).to_contain_text(f"{read} tokens read")
    page.get_by_role("textbox", name="Question").fill("Another question")
    expect(page.locator("#price")).to_have_text("")


def test_the_clip_is_sent_once_for_several_questions(open_page, echo):
    playground = open_page(echo)
    sent = []
    playground.page.on(
        "request", lambda request: sent.append(request.url) if request.method == "PUT" else None
    )
    playground.drop(make_clip())
    assert playground.answer("first") == "echo: first"
    playground.page.locator(".answer").first.get_by_role("button", name="Ask another about this clip").click()
    expect(playground.page.get_by_role("textbox", name="Question")).to_be_focused()
    assert playground.answer("second") == "echo: second"
    assert len(sent) == 1
    assert playground.page.locator(".answer .question").all_inner_texts() == ["second", "first"]


def test_reasoning_is_folded(open_page, demo):
    playground = open_page(demo)
    playground.sample()
    playground.page.get_by_label("Think first").check()
    asked = playground.ask("What is moving, and which way?")
    playground.expect_state(asked, "done")
    text = asked.locator(".text").inner_text()
    assert "think>" not in text
    assert "circle" in text
    expect(asked.locator(".thoughts")).not_to_be_visible()
    asked.get_by_text("Reasoning", exact=True).click()
    expect(asked.locator(".thoughts")).to_contain_text("red circle")


def test_a_question_is_replayed_from_the_history_and_its_clip_asked_about_again(open_page, echo):
    playground = open_page(echo)
    page = playground.page
    playground.drop(make_clip(), name="mine.mp4")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Most frames").fill("3")
    assert playground.answer("first question") == "echo: first question"
    times = playground.frame_times()
    assert len(times) == 3
    page.wait_for_function("indexedDB.databases().then(list => list.length > 0)")
    playground.open()
    requests = []
    page.get_by_role("button", name="History").click()
    expect(page.locator("#history-note")).to_contain_text("1 question and")
    page.on("request", lambda request: requests.append(request.method))
    page.get_by_role("button", name=re.compile("^first question")).click()
    expect(page.locator(".answer .text")).to_have_text("echo: first question")
    assert playground.frame_times() == times
    expect(page.locator("#clip-name")).to_have_text("mine.mp4")
    expect(page.get_by_role("textbox", name="Question")).to_have_value("first question")
    assert page.locator("#max_frames").input_value() == "3"
    assert [method for method in requests if method != "GET"] == []
    assert playground.answer("second question") == "echo: second question"


def test_the_history_can_be_cleared(open_page, echo):
    playground = open_page(echo)
    page = playground.page
    playground.drop(make_clip())
    for word in ("one", "two"):
        playground.answer(word)
    page.get_by_role("button", name="History").click()
    expect(page.locator("#history li")).to_have_count(2)
    page.get_by_role("button", name="Remove “two”").click()
    expect(page.locator("#history li")).to_have_count(1)
    page.get_by_role("button", name="Clear the history").click()
    expect(page.locator("#history li")).to_have_count(0)
    kept = page.evaluate("""() => new Promise((resolve) => {
        indexedDB.open("omnireel").onsuccess = ({ target: { result } }) => {
            const request = result.transaction("clips").objectStore("clips").count();
            request.onsuccess = () => resolve(request.result);
        };
    })""")
    assert kept == 0


def test_a_clip_can_be_recorded(open_page, echo):
    playground = open_page(echo, permissions=["camera", "microphone"])
    page = playground.page
    page.get_by_role("button", name="Record").click()
    stop = page.get_by_role("button", name="Stop")
    expect(page.locator(".clock")).to_have_text("1 s")
    stop.click()
    expect(page.locator("#clip-name")).to_have_text(re.compile(r"^recording\.(mp4|webm)$"))
    assert playground.answer("what?") == "echo: what?"
    assert len(playground.frame_times()) >= 2
