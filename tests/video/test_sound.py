"""A clip's sound: 16 kHz mono samples of the requested part, for every kind of track."""

from fractions import Fraction

import av
import numpy as np
import pytest
from clips import ClipSpec, write_clip

from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import Sampling, open_clip

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sounds")


def clip(folder, name="tone.mp4", **spec):
    return write_clip(folder / name, ClipSpec(num_frames=60, with_audio=True, **spec))


def sound_of(path, *, max_s=120.0, **sampling):
    with open_clip(path, Sampling(**sampling), VideoLimits(max_duration_s=max_s)) as reader:
        return reader.read_sound()


def pitch(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * RATE / len(samples)


@pytest.mark.parametrize("name", ["tone.mp4", "tone.mov", "tone.webm", "tone.mkv"])
def test_a_tone_keeps_its_length_and_pitch(folder, name):
    sound = sound_of(clip(folder, name, codec="vp9" if name.endswith("webm") else "mpeg4"))
    assert sound.samples.dtype == np.float32
    assert abs(len(sound.samples) - 2 * RATE) < 0.1 * RATE
    middle = sound.samples[RATE // 2 : 3 * RATE // 2]
    assert pitch(middle) == pytest.approx(440, abs=2)
    assert np.abs(middle).max() == pytest.approx(1, abs=0.1)
    assert not sound.is_cut


def test_only_the_requested_part_is_read(folder):
    whole, part = sound_of(clip(folder)), sound_of(clip(folder), start_s=0.5, end_s=1.25)
    assert abs(len(part.samples) - 0.75 * RATE) < 100
    at = RATE // 2
    expected = whole.samples[at : at + len(part.samples)]
    assert np.corrcoef(part.samples[: len(expected)], expected)[0, 1] > 0.99


def test_reading_sound_does_not_change_the_frames(folder):
    path = clip(folder)
    with open_clip(path, Sampling()) as reader:
        assert reader.read_sound() is not None
        assert len(list(reader.read_frames())) == 4
    with open_clip(path, Sampling()) as silent:
        assert len(list(silent.read_frames())) == 4


def test_a_track_beyond_the_limit_is_cut_and_marked_as_cut(folder):
    path = folder / "long.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for n in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), n, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for n in range(0, 3 * 16_000, 1024):
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 16_000, n, Fraction(1, 16_000)
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    sound = sound_of(path, max_s=2.0)
    assert (len(sound.samples), sound.is_cut) == (2 * RATE, True)


def test_stereo_and_other_rates_become_one_channel_at_16_khz(folder):
    path = folder / "stereo.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=44_100, layout="stereo")
        for n in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), n, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        at = np.arange(44_100) / 44_100
        both = np.float32([np.sin(2 * np.pi * 880 * at), np.sin(2 * np.pi * 880 * at)]) * 0.5
        for n in range(0, 44_032, 1024):
            piece = av.AudioFrame.from_ndarray(both[:, n : n + 1024].copy(), format="fltp", layout="stereo")
            piece.sample_rate, piece.pts, piece.time_base = 44_100, n, Fraction(1, 44_100)
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    samples = sound_of(path).samples
    assert pitch(samples[2000:14_000]) == pytest.approx(880, abs=4)
    assert np.abs(samples[2000:14_000]).max() == pytest.approx(0.5, abs=0.1)


def test_a_clip_without_a_track_has_no_sound(folder):
    assert sound_of(write_clip(folder / "mute.mp4", ClipSpec(num_frames=30))) is None


def test_a_clip_with_a_damaged_sound_track_is_read_without_sound(folder):
    path = clip(folder, "damaged.mp4", codec="mpeg4")
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for place, size in places:
        content[place : place + size] = rng.bytes(size)
    path.write_bytes(content)
    with open_clip(path, Sampling()) as reader:
        sound = reader.read_sound()
        assert sound is None or np.isfinite(sound.samples).all()
        assert len(list(reader.read_frames())) == 4


def test_a_clip_with_an_unknown_sound_codec_is_read_without_sound(folder, caplog):
    path = clip(folder)
    unknown = path.with_name("unknown.mp4")
    unknown.write_bytes(path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    with open_clip(unknown) as reader:
        assert reader.facts.has_audio
        assert reader.read_sound() is None
        assert len(list(reader.read_frames())) == len(reader.facts.indices)
    assert not caplog.records
