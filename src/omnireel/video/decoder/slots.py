"""The ring of slots in shared memory, as the decoding child uses it."""

from __future__ import annotations

import mmap
import os
import threading

from av.video.plane import VideoPlane

from omnireel.video.messages import NUM_SLOTS


class Slots:
    """The child fills slots in turn; the reader empties them and sends one byte for each that is free again."""

    def __init__(self, memory_fd: int, slot_bytes: int) -> None:
        self._memory = memoryview(mmap.mmap(memory_fd, slot_bytes * NUM_SLOTS))
        self._slot_bytes = slot_bytes
        self._num_free = threading.Semaphore(NUM_SLOTS)
        self._next = 0

    def follow_reader(self) -> None:
        """Count the slots that the reader frees, in a thread; exit this process when the reader closes its end."""
        while os.read(0, 1):
            self._num_free.release()
        os._exit(0)

    def put(self, plane: VideoPlane, row_bytes: int) -> int:
        """Copy a packed RGB plane into the next free slot, without padding. Returns the slot's number."""
        slot = self._acquire()
        start = slot * self._slot_bytes
        pixels, stride = memoryview(plane), plane.line_size
        if stride == row_bytes:
            num_bytes = row_bytes * plane.height
            self._memory[start : start + num_bytes] = pixels[:num_bytes]
            return slot
        for row in range(plane.height):
            target = start + row * row_bytes
            self._memory[target : target + row_bytes] = pixels[row * stride : row * stride + row_bytes]
        return slot

    def put_within(
        self, plane: VideoPlane, row_bytes: int, *, canvas: tuple[int, int], at: tuple[int, int]
    ) -> int:
        """Copy a packed RGB plane into a black picture in the next free slot. Returns the slot's number.

        canvas: bytes in a row of that picture, and its rows
        at:     bytes and rows before the plane
        """
        slot = self._acquire()
        start = slot * self._slot_bytes
        canvas_row_bytes, num_rows = canvas
        self._memory[start : start + canvas_row_bytes * num_rows] = bytes(canvas_row_bytes * num_rows)
        pixels, stride = memoryview(plane), plane.line_size
        for row in range(plane.height):
            target = start + (at[1] + row) * canvas_row_bytes + at[0]
            self._memory[target : target + row_bytes] = pixels[row * stride : row * stride + row_bytes]
        return slot

    def put_bytes(self, content: bytes) -> int:
        """Copy at most `slot_bytes` bytes into the next free slot. Returns the slot's number."""
        slot = self._acquire()
        start = slot * self._slot_bytes
        self._memory[start : start + len(content)] = content
        return slot

    @property
    def slot_bytes(self) -> int:
        """Size of one slot."""
        return self._slot_bytes

    def _acquire(self) -> int:
        self._num_free.acquire()
        slot = self._next
        self._next = (slot + 1) % NUM_SLOTS
        return slot
