"""The token ids of a prompt, with placeholders for the vision tokens that pruning kept and for the sound.

Pruning comes before the layout, so that each tubelet's span has exactly as many placeholders as kept tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omnireel.text.chat import Piece
from omnireel.text.tokenizer import Tokenizer

IMAGE, IMAGE_START, IMAGE_END = "<image>", "<img>", "</img>"
SOUND, SOUND_START, SOUND_END = "<so_embedding>", "<so_start>", "<so_end>"


@dataclass(frozen=True)
class Prompt:
    """The ids of a prompt and the positions of its placeholders.

    ids:        the whole prompt
    spans:      (start, length) of each tubelet's vision tokens
    sound_span: (start, length) of the sound tokens; (0, 0) where there are none
    """

    ids: list[int]
    spans: list[tuple[int, int]]
    sound_span: tuple[int, int] = (0, 0)


def time_labels(indices: Sequence[int], source_fps: float, temporal_patch_size: int = 2) -> list[str]:
    """One label per tubelet, naming its frames and their times.

    indices: chosen source frames, in order; source_fps: greater than 0
    A frame lasts a whole number of milliseconds here, so that at 30 fps the times are 1 % too small. The model
    was trained on exactly these strings.
    Example: [0, 15, 30] at 30 fps →
        "Frame 1 sampled at 0.00 seconds and frame 2 sampled at 0.49 seconds: ",
        "Frame 3 sampled at 0.99 seconds: "
    Source: transformers 5.23 processing_nemotron_h_omni.py#L183-L199
    """
    frame_ms = int(1000.0 / source_fps)
    frames = [f"frame {n} sampled at {i * frame_ms / 1000.0:.2f} seconds" for n, i in enumerate(indices, 1)]
    tubelets = (frames[n : n + temporal_patch_size] for n in range(0, len(frames), temporal_patch_size))
    return [f"F{' and '.join(tubelet)[1:]}: " for tubelet in tubelets]


def max_label_tokens(temporal_patch_size: int = 2) -> int:
    """The most tokens of a label and of the two tokens around its vision tokens.

    It counts bytes, since a token has at least one byte.
    """
    frame = "frame 99999 sampled at 99999.99 seconds"
    return len(f"\n{' and '.join([frame] * temporal_patch_size)}: ") + 2


def lay_out_prompt(
    pieces: Sequence[Piece],
    labels: Sequence[str],
    num_kept_per_tubelet: Sequence[int],
    tokenizer: Tokenizer,
    *,
    num_sound_tokens: int = 0,
) -> Prompt:
    """Ids of a rendered chat with placeholders for the video and its sound.

    pieces: a rendered chat with one video
    labels, num_kept_per_tubelet: one of each for every tubelet; a tubelet without kept tokens keeps its label
    num_sound_tokens: their block follows the last tubelet; 0: there is no block
    Each label is encoded alone, with a newline before it except for the first one, so that the ids of a tubelet
    do not depend on its neighbours. Between added tokens, template and user text are encoded together.
    """
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    sound_span = (0, 0)
    text = ""
    for piece in pieces:
        for part in tokenizer.split_markup(piece.text) if piece.kind == "markup" else [piece.text]:
            if piece.kind != "video" and isinstance(part, str):
                text += part
                continue
            ids += tokenizer.encode_text(text)
            text = ""
            if isinstance(part, int):
                ids.append(part)
            else:
                spans = _append_video(ids, labels, num_kept_per_tubelet, tokenizer)
                sound_span = _append_sound(ids, num_sound_tokens, tokenizer)
    return Prompt(ids + tokenizer.encode_text(text), spans, sound_span)


def _append_sound(ids: list[int], count: int, tokenizer: Tokenizer) -> tuple[int, int]:
    if not count:
        return 0, 0
    start, sound, end = (tokenizer.id_of(token) for token in (SOUND_START, SOUND, SOUND_END))
    ids += [start, *[sound] * count, end]
    return len(ids) - 1 - count, count


def _append_video(
    ids: list[int], labels: Sequence[str], counts: Sequence[int], tokenizer: Tokenizer
) -> list[tuple[int, int]]:
    start, image, end = (tokenizer.id_of(token) for token in (IMAGE_START, IMAGE, IMAGE_END))
    spans = []
    for n, (label, count) in enumerate(zip(labels, counts, strict=True)):
        ids += [*tokenizer.encode_text(f"\n{label}" if n else label), start]
        spans.append((len(ids), count))
        ids += [*[image] * count, end]
    return spans
