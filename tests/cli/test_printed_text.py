"""Control characters of callers reach neither a terminal nor the log, and secrets in paths reach no log."""

import structlog

from omnireel.api.middleware.hosts import without_token
from omnireel.cli.failures import print_error, printable
from omnireel.cli.serving import log

EVIL = "a\x1b[2J\x07\x9b31m\u202eb\tc\nd"


def test_a_terminal_sees_escapes_in_place_of_control_characters():
    assert printable(EVIL) == "a\\x1b[2J\\x07\\x9b31m\\u202eb\tc\nd"
    assert printable("Grüße, 世界") == "Grüße, 世界"


def test_an_error_has_no_control_characters(capsys):
    print_error(EVIL, EVIL)
    shown = capsys.readouterr().err
    assert "\\x1b" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e")


def test_a_log_on_a_terminal_has_none_of_a_caller():
    shown = log._for_terminal(None, "info", {"event": "request", "path": EVIL, "level": "info"})
    assert "\\x1b[2J" in shown
    assert not set(shown) & set("\x07\x9b\u202e")


def test_a_warning_of_a_command_has_none_of_a_server(capsys):
    configured = structlog.get_config()
    try:
        log.configure_warnings()
        try:
            raise ValueError(EVIL)
        except ValueError as error:
            structlog.get_logger().warning("a model server is taken out", reason=EVIL, exc_info=error)
    finally:
        structlog.configure(**configured)
    shown = capsys.readouterr().err
    assert shown.count("\\x1b[2J") >= 2
    assert not set(shown) & set("\x1b\x07\x9b\u202e")


def test_a_log_in_json_is_one_line_of_ascii():
    shown = structlog.processors.JSONRenderer()(None, "info", {"event": "request", "path": EVIL})
    assert shown.isascii()
    assert "\n" not in shown


def test_upload_tokens_are_left_out_of_paths():
    for path in (
        "/cdn/files/abc.mp4/upload/SECRET",
        "/cdn/files/abc.mp4/multipart/SECRET/1",
        "/cdn/files/abc.mp4/multipart/SECRET/complete",
        "/files/abc/def/upload/SECRET",
        "/cdn/files/abc//upload//SECRET/",
        "/cdn/files/a\nb/upload/SECRET",
    ):
        assert "SECRET" not in without_token(path)
    assert without_token("/rest/storage/upload/initiate") == "/rest/storage/upload/initiate"
