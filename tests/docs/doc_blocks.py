"""The fenced code blocks of the documentation, and what each of them is.

The info string of a block is a language and, where the block is not simply run, one mark:

    sh              run by bash, in order; variables last until the end of the page
    sh background   started, and left running until the page ends: a server or a worker
    sh parse-only   not run; its commands go through the real argument parser
    python, js      run with the variables of the page
    json, toml      parsed; toml by the reader of omnireel.toml
    ini, caddy      configuration of other programs
    text            a diagram or output
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ("sh", "sh background", "python", "js")
PARSED = ("sh parse-only", "json", "toml", "ini")
SHOWN = ("text", "caddy")
_BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block; line: of its opening fence."""

    page: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line} ({self.kind})"


def pages() -> list[Path]:
    """README.md and everything under docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1].strip(), found[2])
        for found in _BLOCK.finditer(text)
    ]


def all_blocks() -> list[Block]:
    """The blocks of every page."""
    return [block for page in pages() for block in blocks_of(page)]
