"""Conformance tests of `UploadStore`. The tests set the clock."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from stores import IMPLEMENTATIONS, blocking_store

from omnireel.errors import CapacityError, InputError
from omnireel.store.keys import Grant
from omnireel.store.uploads import MAX_ARRIVING_S, MAX_OPEN, MAX_RESERVED, FileLimits, NewUpload, chosen_parts

LIMITS = FileLimits(max_file_bytes=100, max_total_bytes=250, open_s=60.0)
NEW = NewUpload("ann", "clip.mp4", "video/mp4", "http://here", keep_s=1000.0)


def begin(store, name="u", now=0.0):
    store.uploads.begin(NEW, upload_id=name, token=f"{name} token", limits=LIMITS, now=now)


def part(store, name, number, size, *, blob, now=0.0):
    store.uploads.begin_part(name, number, blob=blob, num_bytes=size, limits=LIMITS)
    return store.uploads.end_part(blob, num_bytes=size, etag=f"etag {blob}", limits=LIMITS, now=now)


def finish(store, name="u", now=0.0):
    parts = store.uploads.arrived_parts(name)
    return store.uploads.complete(name, parts=parts, blob=f"{name} whole", etag="e", now=now)


def test_a_file_expires_keep_s_after_its_completion(store):
    begin(store)
    part(store, "u", 1, 10, blob="a", now=30)
    assert finish(store, now=50) == ["a"]
    assert store.uploads.find("u", now=1049).expires_at == 1050
    assert store.uploads.find("u", now=1050) is None
    assert store.uploads.sweep(now=1049) == []
    assert store.uploads.sweep(now=1050) == ["u whole"]
    assert store.uploads.num_stored_bytes() == 0


def test_each_part_extends_the_time_of_an_upload_and_an_expired_one_leaves_nothing(store):
    begin(store)
    part(store, "u", 1, 10, blob="a", now=50)
    assert store.uploads.sweep(now=109) == []
    store.uploads.begin_part("u", 2, blob="b", num_bytes=10, limits=LIMITS)
    assert store.uploads.sweep(now=110) == []
    assert store.uploads.sweep(now=110 + MAX_ARRIVING_S) == ["a", "b"]
    with pytest.raises(InputError, match="unknown"):
        store.uploads.end_part("b", num_bytes=10, etag="x", limits=LIMITS, now=110)


def test_space_is_reserved_before_the_bytes_arrive(store):
    for name in "uvw":
        begin(store, name)
    store.uploads.begin_part("u", 1, blob="a", num_bytes=100, limits=LIMITS)
    store.uploads.begin_part("v", 1, blob="b", num_bytes=100, limits=LIMITS)
    with pytest.raises(InputError) as raised:
        store.uploads.begin_part("w", 1, blob="c", num_bytes=51, limits=LIMITS)
    assert raised.value.kind == "quota_exceeded"
    assert store.uploads.begin_part("w", 1, blob="c", num_bytes=None, limits=LIMITS) == 50
    store.uploads.drop_part("a")
    assert store.uploads.begin_part("w", 1, blob="d", num_bytes=100, limits=LIMITS) == 100


def test_a_part_of_unknown_size_reserves_the_most_that_it_may_have(store):
    for name in "uvwx":
        begin(store, name)
    reserved = [store.uploads.begin_part(name, 1, blob=name, num_bytes=None, limits=LIMITS) for name in "uvw"]
    assert reserved == [100, 100, 50]
    with pytest.raises(InputError) as raised:
        store.uploads.begin_part("x", 1, blob="x", num_bytes=None, limits=LIMITS)
    assert raised.value.kind == "quota_exceeded"
    assert store.uploads.begin_part("x", 1, blob="empty", num_bytes=0, limits=LIMITS) == 0
    store.uploads.end_part("u", num_bytes=30, etag="e", limits=LIMITS, now=0)
    assert store.uploads.begin_part("x", 1, blob="x", num_bytes=None, limits=LIMITS) == 70


def test_parts_of_unknown_size_can_arrive_at_the_same_time_up_to_the_largest_file(store):
    begin(store)
    assert [store.uploads.begin_part("u", n, blob=str(n), num_bytes=None, limits=LIMITS) for n in (1, 2)] == [
        100,
        100,
    ]
    assert store.uploads.begin_part("u", 3, blob="3", num_bytes=20, limits=LIMITS) == 20
    for number in (1, 3):
        store.uploads.end_part(str(number), num_bytes=20, etag="e", limits=LIMITS, now=0)
    with pytest.raises(InputError) as raised:
        store.uploads.end_part("2", num_bytes=61, etag="e", limits=LIMITS, now=0)
    assert raised.value.kind == "file_too_large"


def test_an_upload_is_not_completed_if_a_part_is_sent_again_meanwhile(store):
    begin(store)
    part(store, "u", 1, 10, blob="a")
    before = store.uploads.arrived_parts("u")
    assert part(store, "u", 1, 10, blob="b") == ["a"]
    with pytest.raises(InputError) as raised:
        store.uploads.complete("u", parts=before, blob="whole", etag="e", now=0)
    assert raised.value.kind == "part_mismatch"


def test_an_owner_may_have_a_limited_number_of_open_uploads(store):
    for number in range(MAX_OPEN):
        begin(store, str(number))
    with pytest.raises(CapacityError):
        begin(store, "one more")
    begin_of_bob = NewUpload("bob", "x", "x/y", "http://here", 1.0)
    store.uploads.begin(begin_of_bob, upload_id="bob", token="t", limits=LIMITS, now=0)


def test_an_upload_takes_no_more_bytes_once_its_key_is_revoked(store):
    keys = [store.keys.create(name, b"digest", Grant("ann"), now=0) for name in ("k1", "k2")]
    for key in keys:
        new = NewUpload("ann", "x", "x/y", "http://here", 1.0, key.id)
        store.uploads.begin(new, upload_id=key.id, token=f"{key.id} token", limits=LIMITS, now=0)
        store.uploads.begin_part(key.id, 1, blob=f"{key.id} blob", num_bytes=10, limits=LIMITS)
    store.keys.revoke("k1", now=1)
    uploads, arrived = store.uploads, {"num_bytes": 10, "etag": "e", "limits": LIMITS, "now": 2}
    for refused in (
        lambda: uploads.check_token("k1", "k1 token", now=2),
        lambda: uploads.begin_part("k1", 2, blob="new", num_bytes=1, limits=LIMITS),
        lambda: uploads.grow_part("k1 blob", 11, limits=LIMITS),
        lambda: uploads.end_part("k1 blob", **arrived),
        lambda: uploads.complete("k1", parts=[], blob="k1 blob", etag="e", now=2),
    ):
        with pytest.raises(InputError) as raised:
            refused()
        assert raised.value.kind == "upload_not_found"
    assert uploads.check_token("k2", "k2 token", now=2) is None
    uploads.end_part("k2 blob", **arrived)


def test_a_token_is_valid_for_one_upload_until_it_expires(store):
    begin(store)
    begin(store, "v")
    assert store.uploads.check_token("u", "u token", now=1) is None
    for upload_id, token, now in (
        ("u", "v token", 1),
        ("u", "", 1),
        ("nobody", "u token", 1),
        ("u", "u token", 60),
    ):
        with pytest.raises(InputError) as raised:
            store.uploads.check_token(upload_id, token, now=now)
        assert (raised.value.kind, raised.value.about) == ("upload_not_found", "upload")
    part(store, "u", 1, 10, blob="a")
    finish(store)
    assert store.uploads.check_token("u", "u token", now=1).blob == "u whole"


def test_missing_and_wrong_parts_are_named(store):
    begin(store)
    for number in (1, 3):
        part(store, "u", number, 10, blob=f"b{number}")
    arrived = store.uploads.arrived_parts("u")
    with pytest.raises(InputError, match="Part 2 has not arrived"):
        chosen_parts(arrived, [(1, None), (3, None)])
    part(store, "u", 2, 10, blob="b2")
    arrived = store.uploads.arrived_parts("u")
    assert [one.number for one in chosen_parts(arrived, [(3, "etag b3"), (1, None), (2, '"etag b2"')])] == [
        1,
        2,
        3,
    ]
    for listed in ([(1, None)], [(1, None), (2, None), (2, None)], [(1, "x"), (2, None), (3, None)]):
        with pytest.raises(InputError) as raised:
            chosen_parts(arrived, listed)
        assert raised.value.kind == "part_mismatch"


def test_an_announced_size_takes_space_only_as_bytes_arrive(store):
    limits = FileLimits(4 * MAX_RESERVED, 6 * MAX_RESERVED, 60.0)
    for name in ("u", "v"):
        begin(store, name)
        store.uploads.begin_part(name, 1, blob=name, num_bytes=4 * MAX_RESERVED, limits=limits)
    assert store.uploads.num_stored_bytes() == 2 * MAX_RESERVED
    store.uploads.grow_part("u", 4 * MAX_RESERVED, limits=limits)
    with pytest.raises(InputError) as raised:
        store.uploads.grow_part("v", 3 * MAX_RESERVED, limits=limits)
    assert raised.value.kind == "quota_exceeded"
    assert store.uploads.num_stored_bytes() == 5 * MAX_RESERVED


def test_an_account_has_a_quota_of_its_own(store):
    limits = FileLimits(100, 1000, 60.0, max_owner_bytes=150)
    for number, owner in enumerate(("ann", "ann", "bob", "", "", "")):
        new = NewUpload(owner, "x", "x/y", "http://here", 1.0)
        store.uploads.begin(new, upload_id=str(number), token="t", limits=limits, now=0)
    store.uploads.begin_part("0", 1, blob="a", num_bytes=100, limits=limits)
    with pytest.raises(InputError, match="this account") as raised:
        store.uploads.begin_part("1", 1, blob="b", num_bytes=51, limits=limits)
    assert (raised.value.kind, raised.value.ctx) == ("quota_exceeded", {"max_size": 150})
    assert store.uploads.begin_part("1", 1, blob="b", num_bytes=None, limits=limits) == 50
    store.uploads.begin_part("2", 1, blob="c", num_bytes=100, limits=limits)
    for number in (3, 4, 5):  # a server without keys has one account, and all of the space
        store.uploads.begin_part(str(number), 1, blob=f"d{number}", num_bytes=100, limits=limits)


def test_an_upload_without_bytes_is_soon_gone_and_one_whose_bytes_arrive_is_not(store):
    limits = FileLimits(100, 1000, 3600.0, first_s=30.0)
    for name in ("silent", "arriving"):
        new = NewUpload("ann", "x", "x/y", "http://here", 1.0)
        store.uploads.begin(new, upload_id=name, token="t", limits=limits, now=0)
    store.uploads.begin_part("arriving", 1, blob="a", num_bytes=10, limits=limits)
    assert store.uploads.sweep(now=31) == []
    with pytest.raises(InputError):
        store.uploads.check_token("silent", "t", now=31)
    assert store.uploads.check_token("arriving", "t", now=31) is None
    store.uploads.end_part("a", num_bytes=10, etag="e", limits=limits, now=100)
    assert store.uploads.check_token("arriving", "t", now=3600) is None


def test_a_part_whose_process_died_does_not_keep_its_upload_for_ever(store):
    begin(store)
    store.uploads.begin_part("u", 1, blob="a", num_bytes=10, limits=LIMITS)
    assert store.uploads.sweep(now=MAX_ARRIVING_S) == []
    assert store.uploads.sweep(now=2 * MAX_ARRIVING_S) == ["a"]
    assert store.uploads.num_stored_bytes() == 0


def expect(error, *kinds):
    if error.kind not in kinds:
        raise error


class Uploads(RuleBasedStateMachine):
    """Random sequences of calls. disk: the blobs that exist, and their sizes"""

    names = st.sampled_from("uvw")
    numbers = st.integers(1, 3)

    def __init__(self, implementation):
        super().__init__()
        self.opened = blocking_store(implementation)
        self.store = self.opened.__enter__()
        self.ids = {}  # name: id of its current upload
        self.now, self.made = 0.0, 0
        self.disk = {}  # blob: its size
        self.coming = []

    def teardown(self):
        self.opened.__exit__(None, None, None)

    def id(self, name):
        return self.ids.get(name, "unknown")

    def delete(self, blobs):
        for blob in blobs:
            del self.disk[blob]  # each is returned once

    @rule(name=names)
    def begin(self, name):
        if name not in self.ids:
            self.ids[name] = f"{name}{self.made}"
            self.made += 1
            begin(self.store, self.ids[name], self.now)

    @rule(name=names, number=numbers, size=st.integers(1, 60))
    def begin_part(self, name, number, size):
        blob = f"b{self.made}"
        try:
            self.store.uploads.begin_part(self.id(name), number, blob=blob, num_bytes=size, limits=LIMITS)
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
            self.store.uploads.drop_part(blob)
            self.store.uploads.sweep(now=-1.0)  # after this later write the part is dropped
            self.disk.pop(blob, None)
            return
        try:
            size = self.disk.get(blob, 1)
            self.delete(
                self.store.uploads.end_part(blob, num_bytes=size, etag=blob, limits=LIMITS, now=self.now)
            )
        except InputError as error:
            expect(error, "upload_not_found")
            self.disk.pop(blob, None)

    @rule(name=names)
    def complete(self, name):
        upload_id = self.id(name)
        arrived = self.store.uploads.arrived_parts(upload_id)
        try:
            parts = chosen_parts(arrived, [(None, None)] * len(arrived))
        except InputError as error:
            expect(error, "part_missing")
            return
        assert [part.number for part in arrived] == list(range(1, len(arrived) + 1))
        whole = f"w{self.made}"
        self.made += 1
        self.disk[whole] = sum(part.num_bytes for part in parts)
        self.delete(self.store.uploads.complete(upload_id, parts=parts, blob=whole, etag="e", now=self.now))
        assert self.store.uploads.find(upload_id, now=self.now).num_bytes == self.disk[whole] <= 100

    @rule(name=names)
    def drop(self, name):
        self.delete(self.store.uploads.drop(self.id(name)))
        self.ids.pop(name, None)

    @rule(seconds=st.sampled_from([1.0, 61.0, 1001.0]))
    def sweep(self, seconds):
        self.now += seconds
        self.delete(self.store.uploads.sweep(now=self.now))
        if seconds > LIMITS.open_s:
            self.ids.clear()

    @invariant()
    def rows_and_disk_agree(self):
        assert self.store.uploads.needed_blobs() == set(self.disk)
        assert self.store.uploads.num_stored_bytes() == sum(self.disk.values()) <= 250


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_bytes_are_counted_once_and_each_blob_is_needed_or_returned_for_deletion(implementation):
    run_state_machine_as_test(
        lambda: Uploads(implementation),
        settings=settings(max_examples=40, stateful_step_count=30, deadline=None),
    )
