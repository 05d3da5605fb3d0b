"""Text from outside stays text: prompts, file names, what the model writes, and JSON of a server."""

import json
from itertools import cycle

import pytest
from playwright.sync_api import expect
from served import make_clip

PAYLOADS = (
    "<script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 1'>",
    "<svg onload=window.owned=1><desc>",
    '"><iframe srcdoc="<script>parent.owned=1</script>">',
    "<details open ontoggle=window.owned=1>",
    "</textarea></p></li><style>*{display:none}</style>",
    "[click](javascript:window.owned=1) <a href=javascript:window.owned=1>x</a>",
    "${window.owned=1} {{constructor.constructor('window.owned=1')()}}",
    "&lt;b&gt; &amp; &#60;i&#62;",
    '{"output": "<b>", "__proto__": {"owned": 1}}',
    "<math><mtext><table><mglyph><style><img src=x onerror=window.owned=1>",
    "\u202eabc <b>\u2028line",
    "javascript:window.owned=1",
    "<think>not reasoning</think><b>bold</b>",
)
NEW_ELEMENTS = "script, img:not(.frame img), iframe, svg, style, a, b, math, object, embed"


def assert_untouched(page):
    assert page.evaluate("window.owned ?? Object.prototype.owned") is None
    assert page.locator(f":is(#answers, #frames, #history, #clip, #snippet) :is({NEW_ELEMENTS})").count() == 0


def test_what_a_person_and_a_model_write_stays_text(open_page, echo):
    playground = open_page(echo)
    page = playground.page
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    playground.drop(make_clip())
    page.locator("#code summary").click()
    for payload in PAYLOADS:
        asked = playground.ask(payload)
        playground.expect_state(asked, "done")
        assert asked.locator(".text").text_content() == f"echo: {payload}"
        assert asked.locator(".question").text_content() == payload
        shown = page.locator("#snippet").text_content().replace("'\\''", "'")
        assert json.dumps(payload, ensure_ascii=False)[1:-1] in shown
        assert_untouched(page)
    page.get_by_role("button", name="History").click()
    expect(page.locator("#history li")).to_have_count(len(PAYLOADS))
    assert page.locator("#history .question").all_text_contents() == list(reversed(PAYLOADS))
    assert_untouched(page)


@pytest.mark.parametrize("payload", [*PAYLOADS[:5], "a'b\"c`d$(touch owned).mp4", "-rf.mp4"])
def test_a_file_name_stays_text(open_page, echo, payload):
    playground = open_page(echo)
    page = playground.page
    page.locator("#code summary").click()
    playground.drop(make_clip(), name=payload)
    expect(page.locator("#clip-name")).to_have_text(payload)
    asked = playground.ask("what?")
    playground.expect_state(asked, "done")
    assert asked.locator(".about-clip").text_content() == payload
    page.get_by_role("button", name="Change").click()
    playground.drop(b"", name=payload)
    assert payload in page.locator("#video_url-error").text_content()
    assert_untouched(page)


def test_json_of_a_hostile_server_stays_text(open_page, echo):
    """As a proxy that was taken over could send it."""
    playground = open_page(echo, allowed=("status of 422",))
    page = playground.page
    evil = PAYLOADS[1]

    def hostile(route):
        report = route.fetch().json()
        report["video"] |= {"codec": evil, "audio": evil, "warnings": [evil]}
        pictures = (evil, "javascript:window.owned=1", f"data:text/html,{evil}")
        for frame, picture in zip(report["frames"], cycle(pictures), strict=False):
            frame["picture"] = picture
        route.fulfill(json=report)

    page.route("**/inspect", hostile)
    playground.drop(make_clip())
    page.get_by_role("textbox", name="Question").fill("what?")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator("#seen")).to_contain_text(evil)
    expect(page.locator("#frames .warning")).to_have_text(evil)
    sources = [picture.get_attribute("src") for picture in page.locator("#frames img").all()]
    assert set(sources) == {""}
    assert len(sources) >= 3
    problem = {"loc": ["body", "prompt"], "msg": evil, "type": evil}
    page.route(
        "**/stream", lambda route: route.fulfill(status=422, json={"detail": [problem], "message": evil})
    )
    asked = playground.ask("what?")
    playground.expect_state(asked, "failed")
    assert page.locator("#prompt-error").text_content() == evil
    assert_untouched(page)


def test_the_browser_would_refuse_html_from_a_text(open_page, echo):
    page = open_page(echo, allowed=("TrustedHTML",)).page
    assert (
        page.evaluate("""() => {
        try {
            document.body.innerHTML = "<b>x</b>";
            return "made";
        } catch (error) {
            return error.name;
        }
    }""")
        == "TypeError"
    )
