"""Uploads as a state machine, on a clock that the test owns."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omnireel.errors import CapacityError, InputError
from omnireel.store.sqlite import cdn_tokens, uploads
from omnireel.store.sqlite.database import connect, create_schema
from omnireel.store.sqlite.uploads import FileLimits, NewUpload

LIMITS = FileLimits(max_file_bytes=100, max_total_bytes=250, open_s=60.0)
NEW = NewUpload("ann", "clip.mp4", "video/mp4", "http://here", keep_s=1000.0)


@pytest.fixture
def db():
    connection = connect(":memory:")
    create_schema(connection)
    return connection


def begin(db, name="u", now=0.0):
    uploads.begin(db, NEW, upload_id=name, token=f"{name} token", limits=LIMITS, now=now)


def part(db, name, number, size, *, blob, now=0.0):
    uploads.begin_part(db, name, number, blob=blob, num_bytes=size, limits=LIMITS)
    return uploads.end_part(db, blob, num_bytes=size, etag=f"etag {blob}", limits=LIMITS, now=now)


def finish(db, name="u", now=0.0):
    parts = uploads.arrived_parts(db, name)
    return uploads.complete(db, name, parts, blob=f"{name} whole", etag="e", now=now)


def test_a_file_lives_as_long_as_its_owner_said_from_its_completion_on(db):
    begin(db)
    part(db, "u", 1, 10, blob="a", now=30)
    assert finish(db, now=50) == ["a"]
    assert uploads.find(db, "u", now=1049).expires_at == 1050
    assert uploads.find(db, "u", now=1050) is None
    assert uploads.sweep(db, now=1049) == []
    assert uploads.sweep(db, now=1050) == ["u whole"]
    assert uploads.num_stored_bytes(db) == 0


def test_each_part_gives_an_upload_more_time_and_its_end_leaves_nothing(db):
    begin(db)
    part(db, "u", 1, 10, blob="a", now=50)
    assert uploads.sweep(db, now=109) == []
    uploads.begin_part(db, "u", 2, blob="b", num_bytes=10, limits=LIMITS)
    assert uploads.sweep(db, now=110) == ["a", "b"]
    with pytest.raises(InputError, match="unknown"):
        uploads.end_part(db, "b", num_bytes=10, etag="x", limits=LIMITS, now=110)


def test_room_is_reserved_before_the_bytes_come(db):
    for name in "uvw":
        begin(db, name)
    uploads.begin_part(db, "u", 1, blob="a", num_bytes=100, limits=LIMITS)
    uploads.begin_part(db, "v", 1, blob="b", num_bytes=100, limits=LIMITS)
    with pytest.raises(InputError) as raised:
        uploads.begin_part(db, "w", 1, blob="c", num_bytes=51, limits=LIMITS)
    assert (raised.value.kind, raised.value.status) == ("quota_exceeded", 413)
    assert uploads.begin_part(db, "w", 1, blob="c", num_bytes=None, limits=LIMITS) == 50
    uploads.drop_part(db, "a")
    assert uploads.begin_part(db, "w", 1, blob="d", num_bytes=100, limits=LIMITS) == 100


def test_bytes_that_nobody_announced_have_reserved_all_that_they_may_take(db):
    for name in "uvwx":
        begin(db, name)
    room = [uploads.begin_part(db, name, 1, blob=name, num_bytes=None, limits=LIMITS) for name in "uvw"]
    assert room == [100, 100, 50]
    with pytest.raises(InputError) as raised:
        uploads.begin_part(db, "x", 1, blob="x", num_bytes=None, limits=LIMITS)
    assert raised.value.kind == "quota_exceeded"
    assert uploads.begin_part(db, "x", 1, blob="empty", num_bytes=0, limits=LIMITS) == 0
    uploads.end_part(db, "u", num_bytes=30, etag="e", limits=LIMITS, now=0)
    assert uploads.begin_part(db, "x", 1, blob="x", num_bytes=None, limits=LIMITS) == 70


def test_parts_that_nobody_announced_come_side_by_side_up_to_the_largest_file(db):
    begin(db)
    assert [uploads.begin_part(db, "u", n, blob=str(n), num_bytes=None, limits=LIMITS) for n in (1, 2)] == [
        100,
        100,
    ]
    assert uploads.begin_part(db, "u", 3, blob="3", num_bytes=20, limits=LIMITS) == 20
    for number in (1, 3):
        uploads.end_part(db, str(number), num_bytes=20, etag="e", limits=LIMITS, now=0)
    with pytest.raises(InputError) as raised:
        uploads.end_part(db, "2", num_bytes=61, etag="e", limits=LIMITS, now=0)
    assert raised.value.kind == "file_too_large"


def test_a_part_that_came_while_a_file_was_put_together_undoes_that(db):
    begin(db)
    part(db, "u", 1, 10, blob="a")
    before = uploads.arrived_parts(db, "u")
    assert part(db, "u", 1, 10, blob="b") == ["a"]
    with pytest.raises(InputError) as raised:
        uploads.complete(db, "u", before, blob="whole", etag="e", now=0)
    assert raised.value.kind == "part_mismatch"


def test_an_owner_may_have_so_many_uploads_open(db):
    for number in range(uploads.MAX_OPEN):
        begin(db, str(number))
    with pytest.raises(CapacityError):
        begin(db, "one more")
    begin_of_bob = NewUpload("bob", "x", "x/y", "http://here", 1.0)
    uploads.begin(db, begin_of_bob, upload_id="bob", token="t", limits=LIMITS, now=0)


def test_tokens_are_stored_as_hashes_and_end(db):
    begin(db)
    cdn_tokens.add(db, "secret", "ann", expires_at=10)
    assert cdn_tokens.owner_of(db, "secret", now=9) == "ann"
    assert cdn_tokens.owner_of(db, "secret", now=10) is None
    for table in ("uploads", "cdn_tokens"):
        assert not any(
            "secret" in str(v) or "u token" in str(v)
            for row in db.execute(f"SELECT * FROM {table}")
            for v in row
        )
    uploads.sweep(db, now=10)
    assert db.execute("SELECT count(*) FROM cdn_tokens").fetchall() == [(0,)]


def expect(error, *kinds):
    if error.kind not in kinds:
        raise error


class Uploads(RuleBasedStateMachine):
    """Whatever is sent in whatever order: bytes are counted once, and every blob is needed or given back."""

    names = st.sampled_from("uvw")
    numbers = st.integers(1, 3)

    def __init__(self):
        super().__init__()
        self.db = connect(":memory:")
        create_schema(self.db)
        self.now, self.made = 0.0, 0
        self.disk = {}  # blob: its size
        self.coming = []

    def teardown(self):
        self.db.close()

    def delete(self, blobs):
        for blob in blobs:
            del self.disk[blob]  # each is given back once

    @rule(name=names)
    def begin(self, name):
        if not self.db.execute("SELECT 1 FROM uploads WHERE id = ?", (name,)).fetchall():
            begin(self.db, name, self.now)

    @rule(name=names, number=numbers, size=st.integers(1, 60))
    def begin_part(self, name, number, size):
        blob = f"b{self.made}"
        try:
            uploads.begin_part(self.db, name, number, blob=blob, num_bytes=size, limits=LIMITS)
        except InputError as error:
            expect(error, "upload_not_found", "file_too_large", "quota_exceeded")
            return
        self.made += 1
        self.disk[blob] = size
        self.coming.append(blob)

    @precondition(lambda self: self.coming)
    @rule(data=st.data(), arrives=st.booleans())
    def end_part(self, data, arrives):
        blob = data.draw(st.sampled_from(self.coming))
        self.coming.remove(blob)
        if not arrives:
            uploads.drop_part(self.db, blob)
            self.disk.pop(blob, None)
            return
        try:
            size = self.disk.get(blob, 1)
            self.delete(
                uploads.end_part(self.db, blob, num_bytes=size, etag=blob, limits=LIMITS, now=self.now)
            )
        except InputError as error:
            expect(error, "upload_not_found")
            self.disk.pop(blob, None)

    @rule(name=names)
    def complete(self, name):
        arrived = uploads.arrived_parts(self.db, name)
        try:
            parts = uploads.chosen_parts(arrived, [(None, None)] * len(arrived))
        except InputError as error:
            expect(error, "part_missing")
            return
        assert [part.number for part in arrived] == list(range(1, len(arrived) + 1))
        whole = f"w{self.made}"
        self.made += 1
        self.disk[whole] = sum(part.num_bytes for part in parts)
        self.delete(uploads.complete(self.db, name, parts, blob=whole, etag="e", now=self.now))
        assert uploads.find(self.db, name, now=self.now).num_bytes == self.disk[whole] <= 100

    @rule(name=names)
    def drop(self, name):
        self.delete(uploads.drop(self.db, name))

    @rule(seconds=st.sampled_from([1.0, 61.0, 1001.0]))
    def sweep(self, seconds):
        self.now += seconds
        self.delete(uploads.sweep(self.db, now=self.now))

    @invariant()
    def the_disk_is_what_the_rows_say(self):
        assert uploads.blobs(self.db) == set(self.disk)
        assert uploads.num_stored_bytes(self.db) == sum(self.disk.values()) <= 250


TestUploads = Uploads.TestCase
TestUploads.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
