"""Make the picture of docs/quickstart.md: frames of the demo's clip, and the demo model's answers about it.

    python -m tools.picture

Writes docs/images/answer.png. The answers are those of the model at that time.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tools.demo import FPS, SECONDS, draw, make_clip

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "answer.png"
QUESTIONS = ("What is moving, and which way?", "How many shapes are there?", "Who won the match?")
SHOWN_S = (0, 3, 6, 9)
WIDTH, MARGIN, LINE = 960, 24, 34
PAPER, INK, GREY = (255, 255, 255), (25, 30, 40), (110, 118, 130)


def main() -> None:
    """Ask the questions and draw the picture."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        make_clip(clip)
        answers = [ask(clip, question) for question in QUESTIONS]
    PICTURE.parent.mkdir(exist_ok=True)
    picture_of(answers).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")


def ask(clip: Path, question: str) -> str:
    """The answer of `omnireel ask`, with greedy decoding."""
    command = [str(Path(sys.executable).with_name("omnireel")), "ask", str(clip), question]
    command += ["--temperature", "0", "--json"]
    return str(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["output"])


def picture_of(answers: Sequence[str]) -> Image.Image:
    """Four frames with their times, then each question and its answer."""
    frame_width = (WIDTH - 2 * MARGIN - 3 * 12) // 4
    frame_height = frame_width * 9 // 16
    height = MARGIN * 2 + frame_height + 40 + len(answers) * (2 * LINE + 10)
    picture = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(picture)
    for index, second in enumerate(SHOWN_S):
        frame = Image.fromarray(draw(second * FPS / (FPS * SECONDS)))
        left = MARGIN + index * (frame_width + 12)
        picture.paste(frame.resize((frame_width, frame_height), Image.Resampling.LANCZOS), (left, MARGIN))
        pen.text((left, MARGIN + frame_height + 4), f"{second} s", font=font("Regular", 18), fill=GREY)
    top = MARGIN + frame_height + 44
    for question, answer in zip(QUESTIONS, answers, strict=True):
        command = f'omnireel ask clip.mp4 "{question}"'
        pen.text((MARGIN, top), command, font=font("Semibold", 22), fill=INK)
        pen.text((MARGIN, top + LINE - 4), answer, font=font("Regular", 22), fill=INK)
        top += 2 * LINE + 10
    return picture


def font(weight: str, size_px: int) -> ImageFont.FreeTypeFont:
    """Source Sans from the development packages."""
    path = Path(str(files("font_source_sans_pro"))) / "files" / f"SourceSansPro-{weight}.otf"
    return ImageFont.truetype(str(path), size_px)


if __name__ == "__main__":
    main()
