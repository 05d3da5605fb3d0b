"""What no job and no row needs any more does not stay on the disk."""

import os
from pathlib import Path

from omnireel.storage.spool import Spool


def test_an_old_file_that_nobody_names_goes_and_the_others_stay(tmp_path):
    spool = Spool(tmp_path)
    for name in ("needed", "left over"):
        spool.path(name).write_bytes(b"x")
    spool.keep_only({"needed"}, older_than_s=600)
    assert sorted(os.listdir(tmp_path)) == ["left over", "needed"]
    spool.keep_only({"needed"}, older_than_s=-1)
    assert os.listdir(tmp_path) == ["needed"]


def test_a_file_that_somebody_else_deletes_meanwhile_is_none_too_many(tmp_path, monkeypatch):
    spool = Spool(tmp_path)
    spool.path("left over").write_bytes(b"x")

    def look_late(path):
        path.unlink()
        return True

    monkeypatch.setattr(Path, "is_file", look_late)
    spool.keep_only(set(), older_than_s=-1)
    assert os.listdir(tmp_path) == []
