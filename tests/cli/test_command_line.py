"""The `omnireel` command as a process: what it prints to which stream, and its exit codes."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()")


def test_the_answer_goes_to_stdout_and_nothing_to_stderr(omnireel, clip):
    ran = omnireel("ask", clip, "what moves here")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "echo: what moves here\n", "")


def test_json_is_one_object_of_the_official_schema(omnireel, clip):
    ran = omnireel("ask", clip, "what moves", "--json")
    assert ran.returncode == 0
    assert json.loads(ran.stdout) == {
        "output": "echo: what moves",
        "finish_reason": "stop",
        "usage": {"input_tokens": 2, "output_tokens": 3},
    }


def test_flags_reach_the_model(omnireel, clip):
    ran = omnireel(
        "ask", clip, "one two three", "--max-tokens", "2", "--system", "a b", "--fps", "5", "--json"
    )
    answer = json.loads(ran.stdout)
    assert answer["finish_reason"] == "length"
    assert answer["usage"] == {"input_tokens": 5, "output_tokens": 2}
    assert len(answer["video"]["frame_times_s"]) == 10


def test_a_seed_of_minus_one_is_none_as_in_a_request(omnireel, clip):
    ran = omnireel("ask", clip, "hello", "--seed", "-1")
    assert (ran.returncode, ran.stdout) == (0, "echo: hello\n")


def test_errors_about_a_part_of_the_clip_name_its_flag(omnireel, clip):
    ran = omnireel("ask", clip, "hello", "--start", "100")
    assert ran.returncode == 1
    assert "error: --start is 100, but the video lasts 2.00 s." in ran.stderr


def test_a_file_that_is_no_video_is_the_first_thing_that_is_said(omnireel, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video" * 100)
    ran = omnireel("ask", broken, "hello", OMNIREEL_BACKEND="local", OMNIREEL_MODEL="demo")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: ")


def test_a_data_uri_is_a_video_too(omnireel, clip):
    uri = "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()).decode()
    assert omnireel("ask", uri, "hello", OMNIREEL_DATA_DIR="data").stdout == "echo: hello\n"


def test_inspect_shows_frames_and_tokens(omnireel, clip):
    table = omnireel("inspect", clip, "hello there")
    assert table.returncode == 0
    assert "64×48 mpeg4" in table.stdout
    report = json.loads(omnireel("inspect", clip, "hello there", "--max-frames", "3", "--json").stdout)
    assert len(report["video"]["frame_indices"]) == 3
    assert report["usage"] == {"input_tokens": 2}
    assert report["expected_s"] == {"encoding": None, "prefill": None, "each_token": None}
    assert report["input_price_usd"] == pytest.approx(2 * 0.006 / 1000)


BAD = [
    (["ask", "missing.mp4", "hello"], 1, "there is no file missing.mp4"),
    (["ask", ".", "hello"], 1, ". is not a file"),
    (["ask", "https://user@example.com/a.mp4", "hello"], 1, "user name"),
    (["ask", "ftp://example.com/a.mp4", "hello"], 1, "never fetched"),
    (["ask", "data:video/mp4;base64,*", "hello"], 1, "not base64"),
    (["ask", "data:video/mp4;base64,", "hello"], 1, "0 bytes"),
    (["inspect", "missing.mp4"], 1, "there is no file missing.mp4"),
    (
        ["ask", "CLIP", "hello", "--max-tokens", "0"],
        2,
        "--max-tokens is '0'; it must be a whole number from 1 to 20000",
    ),
    (
        ["ask", "CLIP", "hello", "--temperature", "nan"],
        2,
        "--temperature is 'nan'; it must be a number from 0 to 2",
    ),
    (
        ["ask", "CLIP", "hello", "--video-pruning-rate", "1"],
        2,
        "it must be a number from 0 up to, but not including, 1",
    ),
    (["serve", "--port", "65536"], 2, "--port is '65536'; it must be a whole number from 0 to 65535"),
    (["serve", "--port", "eighty"], 2, "--port is 'eighty'; it must be a whole number from 0 to 65535"),
    (["serve", "--backend", "magic"], 2, "--backend is 'magic'; it must be local, echo, vllm, sglang, nim, "),
    (["serve", "--auth", "oauth"], 2, "--auth is 'oauth'; it must be none or keys"),
    (["keys", "create", "--cap-usd", "-1"], 2, "--cap-usd is '-1'; it must be US dollars"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD)
def test_bad_input_gets_one_line_of_error_and_one_of_hint(omnireel, clip, arguments, code, message):
    ran = omnireel(*(clip if argument == "CLIP" else argument for argument in arguments))
    error, hint = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout) == (code, "")
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")


def test_the_owner_of_the_machine_sees_why_an_address_is_not_allowed(omnireel):
    ran = omnireel("ask", "https://127.0.0.1/a.mp4", "hello", OMNIREEL_DATA_DIR="data")
    why, error, hint = ran.stderr.splitlines()
    assert ran.returncode == 1
    assert "127.0.0.1 is not allowed: loopback" in why
    assert "cannot be reached" in error
    assert "fetch_allow" in hint


def test_a_name_that_is_not_known_is_said_in_words(omnireel):
    ran = omnireel("ask", "https://nosuch.invalid/a.mp4", "hello", OMNIREEL_DATA_DIR="data")
    why = ran.stderr.splitlines()[0]
    assert "No connection to nosuch.invalid: " in why
    assert why.endswith(("name not known", "the name server does not answer"))


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["ask"], ["ask", "x", "y", "--nonsense"], ["ask", "x"]]
)
def test_wrong_usage_exits_with_2(omnireel, arguments):
    ran = omnireel(*arguments)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


def test_missing_weights_exit_with_3(omnireel, clip):
    ran = omnireel("ask", clip, "hello", "--model", "nobody/nothing", OMNIREEL_BACKEND="local")
    error, hint = ran.stderr.splitlines()
    assert ran.returncode == 3
    assert "There is no checkpoint at nobody/nothing" in error
    assert hint.startswith("hint: Download it with: ")
    assert hint.endswith("omnireel pull nobody/nothing")


def test_a_checkpoint_without_its_files_exits_with_3(omnireel, clip, tmp_path):
    ran = omnireel("ask", clip, "hello", "--model", tmp_path, OMNIREEL_BACKEND="local")
    error, hint = ran.stderr.splitlines()
    assert ran.returncode == 3
    assert error.startswith("error: ")
    assert "--model" in hint


def test_ctrl_c_exits_with_130_at_once(clip, environment, tmp_path):
    with subprocess.Popen(
        [*COMMAND, "ask", clip, "w " * 1000],
        env=environment | {"OMNIREEL_ECHO_TOKEN_S": "1"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.read(5) == b"echo:"
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        assert process.wait(60) == 130
        assert time.monotonic() - asked < 10
        assert process.stderr.read() == b""


# Presses Ctrl-C when a module is looked for, and then starts the program as its installed command does.
INTERRUPTED_IMPORT = """
import os, pkgutil, signal, sys, tomllib

module, pyproject = sys.argv[1:]
sys.argv = ["omnireel", "version"]

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
with open(pyproject, "rb") as file:
    command = tomllib.load(file)["project"]["scripts"]["omnireel"]
pkgutil.resolve_name(command)()
"""


@pytest.mark.parametrize("module", ["typer", "omnireel.settings", "rich"])
def test_ctrl_c_during_the_first_imports_exits_with_130_and_prints_nothing(module):
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, module, str(pyproject)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


def test_a_reader_that_closes_the_pipe_causes_no_traceback(clip, environment, tmp_path):
    words = "wwww " * 20_000  # more than a pipe holds, so not all is written before the reader closes it
    with subprocess.Popen(
        [*COMMAND, "ask", clip, words, "--max-tokens", "20000"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == 1
        assert process.stderr.read() == b""


def test_a_port_in_use_is_one_line_of_error_and_one_of_hint(omnireel):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = omnireel("serve", "--port", port)
    error, hint = ran.stderr.splitlines()
    assert ran.returncode == 1
    assert error == f"error: Cannot listen on 127.0.0.1 port {port}: Address already in use."
    assert "--port" in hint


def test_version_and_help_do_not_wait_for_torch(omnireel):
    printed = omnireel("version")
    assert printed.stdout.startswith("omnireel 0.")
    flag = omnireel("--version")
    assert (flag.returncode, flag.stdout) == (0, printed.stdout)
    helped = omnireel("ask", "--help")
    assert helped.returncode == 0
    for flag in ("--think", "--max-tokens", "--top-p", "--seed", "--start", "--video-pruning-rate", "--json"):
        assert flag in helped.stdout


def test_an_internal_error_is_two_lines_and_a_traceback_only_on_request(tmp_path):
    code = "import omnireel.cli.keys as keys; keys.new_key = None; import omnireel.cli; omnireel.cli.main()"
    command = [sys.executable, "-c", code, "keys", "create", "--data-dir", str(tmp_path)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 2
    shown = os.environ | {"OMNIREEL_TRACEBACK": "1"}
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=shown)
    assert "Traceback" in ran.stderr


def test_answers_of_the_demo_model_come_with_a_notice_on_stderr(omnireel, clip):
    ran = omnireel(
        "ask", clip, "What moves?", "--max-tokens", "1", OMNIREEL_BACKEND="local", OMNIREEL_DATA_DIR="data"
    )
    assert ran.returncode == 0
    assert ran.stderr == "This is the demo model; it knows simple shapes only.\n"
    assert "demo model" not in ran.stdout


def test_the_server_of_the_demo_model_says_which_model_it_is_before_its_instructions(environment, tmp_path):
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"],
        env=environment | {"OMNIREEL_BACKEND": "local", "OMNIREEL_DATA_DIR": str(tmp_path / "data")},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        assert process.stdout.readline() == "This is the demo model; it knows simple shapes only.\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
