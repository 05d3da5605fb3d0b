"""What a person does on the playground, for the tests in the browser."""

import base64
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

# A file dropped from outside: the browser builds the same event from it.
_DROP = """([place, name, type, content]) => {
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type }));
    const event = (kind) => new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
    document.querySelector(place).dispatchEvent(event("dragover"));
    document.querySelector(place).dispatchEvent(event("drop"));
}"""


class Playground:
    """The page. `folder` is for files that are dropped or picked."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.folder = folder

    def open(self) -> None:
        self.page.goto("/")
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def drop(self, content: bytes, name: str = "clip.mp4", media_type: str = "video/mp4") -> None:
        """Drop a file on the place for clips."""
        self.page.evaluate(_DROP, ["#clip", name, media_type, base64.b64encode(content).decode("ascii")])

    def sample(self) -> None:
        self.page.get_by_role("button", name="Use the sample clip").click()
        expect(self.page.locator("#clip-name")).to_have_text("sample.mp4")

    def ask(self, prompt: str, *, by_queue: bool = False) -> Locator:
        """Ask, and return the newest answer, which may still be written."""
        self.page.get_by_role("textbox", name="Question").fill(prompt)
        self.page.get_by_label("by queue" if by_queue else "by stream").check()
        before = self.page.locator(".answer").count()
        self.page.get_by_role("button", name="Ask", exact=True).click()
        expect(self.page.locator(".answer")).to_have_count(before + 1)
        return self.page.locator(f'[data-id="{self.newest_id()}"]')

    def newest_id(self) -> str:
        return self.page.locator(".answer").first.get_attribute("data-id") or ""

    def answer(self, prompt: str, *, by_queue: bool = False) -> str:
        """Ask and wait. Returns the answer's text."""
        asked = self.ask(prompt, by_queue=by_queue)
        self.expect_state(asked, "done")
        return asked.locator(".text").inner_text()

    def expect_state(self, answer: Locator, state: str) -> None:
        expect(answer).to_have_attribute("data-state", state)

    def frame_times(self) -> list[float]:
        """The times of the frame strip, in seconds, once it is drawn."""
        self.page.locator("#frames .frame").first.wait_for()
        frames = self.page.locator("#frames .frame").all()
        return [float(frame.get_attribute("data-time") or "nan") for frame in frames]
