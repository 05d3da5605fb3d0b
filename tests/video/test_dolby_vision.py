"""Profile 5 of Dolby Vision is read with a warning about its colours; profiles with an ordinary base layer without."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered import clip_of, read, remuxed, samples_of

from omnireel.video.decoder.bitstream.dolby_vision import is_profile_5


def unit(*, profile, is_full_range, coefficients=0, rpu_format=18):
    """A reference processing unit, up to the flag that is looked for."""
    fields = f"{2:06b}{rpu_format:011b}{profile:04b}{0:04b}10{coefficients:02b}"
    fields += "" if coefficients else "000011000"  # 23 in exponential Golomb code
    fields += f"01{int(is_full_range)}".ljust(64, "0")
    data = int(fields[:64], 2).to_bytes(8, "big")
    return b"\x7c\x01\x19" + data + b"\x80"


def with_units(path, made, content):
    """The clip with a unit behind each picture."""
    tail = len(content).to_bytes(4, "big") + content
    samples = [replace(sample, content=sample.content + tail) for sample in samples_of(path)]
    return remuxed(made, (path, samples))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("fields", "warnings"),
    [
        ({"profile": 0, "is_full_range": True}, ("dolby_vision_profile_5",)),
        ({"profile": 1, "is_full_range": False}, ()),  # profiles 7 and 8
        ({"profile": 0, "is_full_range": False}, ()),  # profile 4
    ],
)
def test_a_clip_whose_colours_need_the_metadata_is_read_with_a_warning(fields, warnings, suffix, tmp_path):
    plain = clip_of(tmp_path / "plain.mp4", range(20), codec="hevc")
    facts, numbers, _ = read(with_units(plain, tmp_path / f"dolby.{suffix}", unit(**fields)))
    assert facts.warnings == warnings
    assert numbers == list(range(20))


def test_coefficients_of_either_kind_are_understood():
    assert is_profile_5(unit(profile=0, is_full_range=True))
    assert is_profile_5(unit(profile=0, is_full_range=True, coefficients=1))
    assert not is_profile_5(unit(profile=0, is_full_range=False, coefficients=1))
    assert not is_profile_5(unit(profile=0, is_full_range=True, rpu_format=0x700))


def test_a_packet_without_a_unit_is_of_no_profile(tmp_path):
    plain = clip_of(tmp_path / "plain.mp4", range(3), codec="hevc")
    assert not any(is_profile_5(sample.content) for sample in samples_of(plain))


@given(st.binary(max_size=60))
def test_any_bytes_are_of_the_profile_or_not(packet):
    assert is_profile_5(packet) in (True, False)
    assert is_profile_5(b"\x7c\x01\x19" + packet) in (True, False)
