"""Entries are written or counted as dropped; nobody waits for the descriptor they are written to."""

import fcntl
import os
import time
from contextlib import contextmanager

import pytest

from omnireel.cli.serving import bounded_writer
from omnireel.cli.serving.bounded_writer import BoundedWriter

WAIT_S = 20


@contextmanager
def pipe():
    """Both ends of a small pipe. Either may be closed meanwhile."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reader, "rb", buffering=0) as source, os.fdopen(writer, "wb", buffering=0) as sink:
        yield source, sink


def replace(sink, path):
    """Let a descriptor lead to a new file, as a disk that has space again does. Returns the file's text later."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(number, sink.fileno())
    os.close(number)


def writer_to(sink):
    return BoundedWriter(sink.fileno(), lambda num_dropped: f"dropped {num_dropped}\n")


def test_entries_are_written_in_order(tmp_path):
    with (tmp_path / "log").open("wb", buffering=0) as sink:
        writer = writer_to(sink)
        for number in range(100):
            writer.write(f"{number}\n")
        writer.flush(WAIT_S)
    assert (tmp_path / "log").read_text() == "".join(f"{number}\n" for number in range(100))


def test_a_reader_that_does_not_read_delays_nobody_and_learns_how_many_entries_were_dropped():
    entry = "a" * 99 + "\n"
    num_sent = 3 * bounded_writer._MAX_WAITING
    with pipe() as (source, sink):
        writer = writer_to(sink)
        for _ in range(num_sent):
            writer.write(entry)  # would wait for ever if it wrote to the pipe itself
        num_dropped = writer.num_dropped
        writer.flush(0.01)
        assert num_dropped > num_sent / 3
        lines, last = [], b""
        while len(lines) < num_sent - num_dropped + 1:
            *whole, last = (last + source.read(65536)).split(b"\n")
            lines += whole
    assert lines.count(entry[:-1].encode()) == num_sent - num_dropped
    assert lines.count(b"dropped %d" % num_dropped) == 1


@pytest.mark.parametrize("fault", ["no reader", "no space"])
def test_entries_that_cannot_be_written_are_dropped_until_one_can(tmp_path, fault):
    with pipe() as (source, sink):
        writer = writer_to(sink)
        if fault == "no reader":
            source.close()
        else:
            os.dup2(os.open("/dev/full", os.O_WRONLY), sink.fileno())
        writer.write("one\n")
        writer.write("two\n")
        writer.flush(WAIT_S)
        assert writer.num_dropped == 2
        replace(sink, tmp_path / "log")
        writer.write("three\n")
        writer.write("four\n")
        writer.flush(WAIT_S)
    assert (tmp_path / "log").read_text() == "dropped 2\nthree\nfour\n"


def test_an_entry_that_was_cut_off_does_not_join_the_next_one(tmp_path):
    with pipe() as (source, sink):
        writer = writer_to(sink)
        writer.write("a" * 20_000 + "\n")
        source.read(100)  # the rest of the entry waits in the pipe and in the writer
        time.sleep(0.05)
        source.close()
        writer.flush(WAIT_S)
        assert writer.num_dropped == 1
        replace(sink, tmp_path / "log")
        writer.write("next\n")
        writer.flush(WAIT_S)
    assert (tmp_path / "log").read_text() == "\ndropped 1\nnext\n"


def test_a_descriptor_that_was_closed_from_the_start_is_never_written_to():
    writer = BoundedWriter(None, str)
    writer.write("one\n")
    writer.flush(WAIT_S)
    assert writer.num_dropped == 1


def test_an_entry_of_megabytes_is_cut(tmp_path):
    with (tmp_path / "log").open("wb", buffering=0) as sink:
        writer = writer_to(sink)
        writer.write("a" * 2_000_000 + "\n")
        writer.flush(WAIT_S)
    assert len((tmp_path / "log").read_text()) < 40_000
