"""Frames that we have decoded, encoded again for a model server: JPEG, PNG, or a whole clip.

Only our own pixels come here, so this needs no sandbox.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_RATE_DIVISOR = 100_000
# Clips are encoded in several threads already. With more for each, a JPEG file has a part for every one of them.
_THREADS = 1


def shrunk(rgb: Picture, height: int, width: int) -> Picture:
    """A picture with at most this many pixels: one that has more is resized to this size, bicubic with antialiasing.

    rgb: [H, W, 3] uint8. A smaller one is returned as it is, since the model's own filter enlarges it better.
    """
    if rgb.shape[0] * rgb.shape[1] <= height * width:
        return rgb
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    resized = frame.reformat(
        width=width, height=height, format="rgb24", interpolation=Interpolation.BICUBIC, threads=_THREADS
    )
    return np.asarray(resized.to_ndarray(), np.uint8)


def jpeg(rgb: Picture) -> bytes:
    """A JPEG file of nearly the best quality, without chroma subsampling. rgb: [H, W, 3] uint8."""
    height, width = rgb.shape[:2]
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj444p"
    encoder.time_base = Fraction(1)
    encoder.thread_count = _THREADS
    encoder.qmin = encoder.qmax = 1
    encoder.options = {"qmin": "1", "qmax": "1", "mblmin": "118", "mblmax": "118"}
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuvj444p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
        threads=_THREADS,
    )
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def png(rgb: Picture) -> bytes:
    """A PNG file, which keeps every value. rgb: [H, W, 3] uint8."""
    height, width = rgb.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # a zero before each row: it is not filtered
    rows[:, 1:] = rgb.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def mp4(pictures: Sequence[Picture], rate: float) -> bytes:
    """A clip of these pictures, all of one size, in H.264 of high quality.

    rate: pictures per second. An odd width or height loses its last column or row.
    """
    height, width = (side - side % 2 for side in pictures[0].shape[:2])
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264",
            rate=Fraction(round(rate * _RATE_DIVISOR), _RATE_DIVISOR),
            options={"crf": "12", "preset": "veryfast"},
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = _THREADS
        for rgb in pictures:
            even = np.ascontiguousarray(rgb[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode(None))
    return sink.getvalue()


def wav(samples: NDArray[np.float32], rate: int, *, is_exact: bool) -> bytes:
    """A WAV file of one channel: 16 bits a sample, or with is_exact the 32-bit floats themselves.

    samples: [L] fp32, −1…1
    """
    data = samples.astype("<f4") if is_exact else np.rint(samples * 32767).astype("<i2")
    kind, size = (3, 4) if is_exact else (1, 2)
    header = struct.pack("<HHIIHH", kind, 1, rate, rate * size, size, 8 * size)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(header)) + header
    body += b"data" + struct.pack("<I", data.nbytes) + data.tobytes()
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
