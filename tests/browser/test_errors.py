"""What goes wrong is said in words, beside the field concerned; a lost connection can be resumed by the queue."""

import pytest
from playwright.sync_api import expect
from served import Server, make_clip

from omnireel.api.pages.playground.static_files import static_files

REFUSED = ("status of 422", "status of 401", "status of 404", "status of 429")
GONE = ("net::ERR", "status of 5")


def test_what_is_missing_is_named_and_gets_the_focus(open_page, echo):
    page = open_page(echo).page
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#video_url-error")).to_have_text("Choose a clip first.")
    expect(page.locator("#prompt-error")).to_have_text("Write a question.")
    expect(page.get_by_role("button", name="Choose a file")).to_be_focused()
    expect(page.get_by_role("textbox", name="Question")).to_have_attribute("aria-invalid", "true")
    page.get_by_role("textbox", name="Question").fill("x")
    expect(page.locator("#prompt-error")).to_be_hidden()


def test_ranges_of_the_fields_are_those_of_the_document(open_page, echo):
    playground = open_page(echo)
    page = playground.page
    document = page.request.get("/openapi.json").json()
    schemas = document["components"]["schemas"]["Nemotron3NanoOmniVideoInput"]["properties"]
    elsewhere = {"prompt", "video_url", "reasoning_mode", "report_video", "enable_safety_checker"}
    fields = {
        field.get_attribute("id") for field in page.locator("#options :is(input, select, textarea)").all()
    }
    assert fields == set(schemas) - elsewhere
    page.get_by_text("Options", exact=True).click()
    for name in ("temperature", "top_p", "max_tokens", "video_pruning_rate"):
        assert float(page.locator(f"#{name}").get_attribute("min")) == schemas[name]["minimum"]
        assert float(page.locator(f"#{name}").get_attribute("max")) == schemas[name]["maximum"]
    page.locator("#temperature").fill("2.5")
    expect(page.locator("#temperature-error")).to_have_text("This has to be from 0 to 2.")
    page.locator("#max_tokens").fill("1.5")
    expect(page.locator("#max_tokens-error")).to_have_text("This has to be a whole number.")
    playground.drop(make_clip())
    page.get_by_role("textbox", name="Question").fill("x")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".answer")).to_have_count(0)
    expect(page.locator("#max_tokens")).to_be_focused()


def test_an_error_of_the_server_is_shown_beside_its_field(open_page, echo):
    playground = open_page(echo, allowed=REFUSED)
    page = playground.page
    playground.drop(b"\0\0\0\x20ftypisom" + b"no video " * 100)
    asked = playground.ask("what?")
    playground.expect_state(asked, "failed")
    error = page.locator("#video_url-error")
    expect(error).to_be_visible()
    assert error.inner_text() in asked.get_by_role("alert").inner_text()
    page.get_by_role("button", name="Change").click()
    playground.drop(make_clip())
    page.get_by_text("Options", exact=True).click()
    page.locator("#start_s").fill("1.5")
    page.locator("#end_s").fill("1")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator("#end_s-error")).to_contain_text("greater than start_s")
    page.locator("#end_s").fill("")
    page.locator("#start_s").fill("60")
    asked = playground.ask("what?")
    playground.expect_state(asked, "failed")
    expect(page.locator("#start_s-error")).to_be_visible()


@pytest.mark.parametrize(
    ("content", "name", "media_type", "message"),
    [
        (b"", "empty.mp4", "video/mp4", "“empty.mp4” is empty."),
        (b"text", "notes.txt", "text/plain", "“notes.txt” is not a video."),
        (
            b"x" * 2_000_000,
            "long.mp4",
            "video/mp4",
            "“long.mp4” has 2.0 MB. The server takes at most 1.0 MB.",
        ),
    ],
)
def test_a_file_that_would_be_refused_is_named_before_it_is_sent(
    open_page, tmp_path_factory, content, name, media_type, message
):
    with Server(tmp_path_factory.mktemp("small"), OMNIREEL_MAX_UPLOAD_BYTES=str(1_000_000)) as small:
        playground = open_page(small)
        sent = []
        playground.page.on("request", lambda request: sent.append(request.url))
        playground.drop(content, name=name, media_type=media_type)
        expect(playground.page.locator("#video_url-error")).to_contain_text(message)
        expect(playground.page.locator("#clip-name")).to_have_count(0)
        assert sent == []


def test_a_clip_that_is_too_long_or_too_large_is_named_before_it_is_sent(open_page, tmp_path_factory):
    with Server(tmp_path_factory.mktemp("short"), OMNIREEL_MAX_VIDEO_S="4") as short:
        playground = open_page(short)
        page = playground.page
        playground.drop(static_files()["sample.mp4"].body.content)
        expect(page.locator(".facts").first).to_contain_text("10.0 s")
        page.get_by_role("textbox", name="Question").fill("what?")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator("#video_url-error")).to_contain_text("The clip has 10.0 s. At most 4 s")
        expect(page.locator(".answer")).to_have_count(0)
        page.get_by_text("Options", exact=True).click()
        page.locator("#end_s").fill("3")
        assert playground.answer("what?") == "echo: what?"


def test_an_address_is_checked_and_the_server_says_why_it_is_refused(open_page, echo):
    playground = open_page(echo, allowed=REFUSED)
    page = playground.page
    page.get_by_role("button", name="Paste an address").click()
    page.get_by_label("Address of the clip").fill("clip.mp4")
    page.get_by_role("button", name="Use this address").click()
    expect(page.locator("#video_url-error")).to_have_text("An address begins with https://.")
    page.get_by_label("Address of the clip").fill("https://127.0.0.1/clip.mp4")
    page.get_by_label("Address of the clip").press("Enter")
    expect(page.locator("#clip-name")).to_have_text("https://127.0.0.1/clip.mp4")
    asked = playground.ask("what?")
    playground.expect_state(asked, "failed")
    expect(page.locator("#video_url-error")).to_be_visible()


def test_a_streamed_question_whose_connection_is_lost_can_be_asked_by_queue(open_page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost")
    first = Server(folder, OMNIREEL_ECHO_TOKEN_S="0.2")
    port = first.url.rpartition(":")[2]
    playground = open_page(first, allowed=GONE)
    playground.drop(make_clip())
    asked = playground.ask("word " * 50)
    expect(asked.locator(".text")).to_contain_text("echo: word")
    first.kill()
    playground.expect_state(asked, "lost")
    expect(asked.get_by_role("alert")).to_contain_text("The connection to the server was lost")
    with Server(folder, port=int(port)) as second:
        assert second.url == first.url
        asked.get_by_role("button", name="Ask by queue").click()
        newest = playground.page.locator(".answer").first
        expect(newest.locator(".about")).to_contain_text("by queue")
        playground.expect_state(newest, "done")
        expect(newest.locator(".text")).to_contain_text("echo: word word")


def test_a_queued_question_goes_on_without_the_page(open_page, slow):
    playground = open_page(slow, allowed=GONE)
    page = playground.page
    playground.drop(make_clip())
    asked = playground.ask("word " * 40, by_queue=True)
    expect(asked.locator(".progress")).to_have_text("The server is working on it")
    record = asked.get_attribute("data-id")
    page.wait_for_function(
        """() => new Promise((resolve) => {
            indexedDB.open("omnireel").onsuccess = ({ target: { result } }) => {
                const request = result.transaction("records").objectStore("records").count();
                request.onsuccess = () => resolve(request.result);
            };
        })"""
    )
    playground.open()  # a new page in the same browser
    again = page.locator(f'[data-id="{record}"]')
    playground.expect_state(again, "done")
    expect(again.locator(".text")).to_contain_text("echo: word")


def test_a_queued_question_whose_connection_is_lost_is_resumed(open_page, slow):
    playground = open_page(slow, allowed=GONE)
    page = playground.page
    playground.drop(make_clip())
    page.route("**/status/stream*", lambda route: route.abort())
    page.clock.install()
    asked = playground.ask("still there", by_queue=True)
    expect(asked.locator(".progress")).to_have_text("The connection was lost; trying again")
    for _ in range(6):
        page.clock.run_for(9000)
    playground.expect_state(asked, "lost")
    expect(asked.get_by_role("alert")).to_contain_text("goes on without this page")
    page.unroute("**/status/stream*")
    asked.get_by_role("button", name="Resume").click()
    playground.expect_state(asked, "done")
    expect(asked.locator(".text")).to_have_text("echo: still there")


def test_a_stored_clip_that_has_expired_is_sent_again(open_page, echo):
    playground = open_page(echo, allowed=REFUSED)
    playground.drop(make_clip())
    sent = []
    playground.page.on(
        "request", lambda request: sent.append(request.url) if request.method == "PUT" else None
    )
    assert playground.answer("first") == "echo: first"
    for path in (echo.folder / "uploads").rglob("*"):
        if path.is_file():
            path.unlink()
    assert playground.answer("second") == "echo: second"
    assert len(sent) == 2
