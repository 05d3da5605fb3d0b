"""Turns exceptions into an error line, a hint line and an exit code, and text of others into text for a terminal."""

import functools
import os
import re
import shlex
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec

import typer

from omnireel.errors import CheckpointError, InputError, OmnireelError, SettingsError
from omnireel.settings import Settings, unknown_variables, wants_tracebacks

FAILED, USAGE, NO_WEIGHTS, INTERRUPTED = 1, 2, 3, 130

_NAME = "omnireel"
# Parts of a task that errors name, and their flags.
_FIELDS = {
    "start_s": "--start",
    "end_s": "--end",
    "fps": "--fps",
    "max_frames": "--max-frames",
    "detail": "--detail",
    "video_pruning_rate": "--video-pruning-rate",
    "reasoning_budget": "--reasoning-budget",
    "grace_period": "--grace-period",
}
_P = ParamSpec("_P")


def reports_failures(command: Callable[_P, None]) -> Callable[_P, None]:
    """Wrap `command`, so that an exception prints an error and ends the process with the exit code for it."""

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        for line in unknown_variables():
            print_message(f"warning: {line}")
        try:
            command(*args, **kwargs)
        except OmnireelError as error:
            print_error(_with_flag(error), error.hint or _hint(error))
            raise typer.Exit(_exit_code(error)) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader of our output has closed the pipe. Python flushes stdout at exit and would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:  # noqa: BLE001  # a bug is reported in two lines as well, without a traceback
            _print_bug(error)
            raise typer.Exit(FAILED) from None

    return run


def _with_flag(error: OmnireelError) -> str:
    """The message with the flag in place of the field of a request that it names."""
    if not isinstance(error, InputError) or error.about not in _FIELDS:
        return error.message
    return re.sub(rf"\b{error.about}\b", _FIELDS[error.about], error.message)


def print_error(message: str, hint: str | None) -> None:
    """Print two lines on stderr: what went wrong, and what to do about it."""
    print_message(f"error: {_one_line(message)}")
    if hint:
        print_message(f"hint: {_one_line(hint)}")


def print_message(line: str) -> None:
    """Print a line on stderr. If nothing can be written there, the command goes on without it."""
    with suppress(OSError):
        typer.echo(printable(line), err=True)


def typed(*arguments: str) -> str:
    """`omnireel` with arguments, as the reader of a hint can type it.

    The name alone is enough only if the shell finds this program, and not another of the same name, under it.
    """
    found, program = shutil.which(_NAME), _this_program()
    if program is None or (found is not None and program.samefile(found)):
        return shlex.join((_NAME, *arguments))
    return shlex.join((str(_from_here(program)), *arguments))


def data_dir_flag(settings: Settings) -> tuple[str, ...]:
    """The flag for the data directory, where one was named, so that a command in a hint uses the same one."""
    return () if settings.data_dir is None else ("--data-dir", str(settings.data_dir))


def _this_program() -> Path | None:
    """The command beside the interpreter that runs; else the one that was started; None if there is neither."""
    places = (Path(sys.executable).with_name(_NAME), Path(sys.argv[0]))
    return next((place for place in places if place.name == _NAME and place.is_file()), None)


def _from_here(path: Path) -> Path:
    path, here = Path(os.path.abspath(path)), Path.cwd()
    # A shell looks for a bare name on PATH only.
    return path.relative_to(here) if path.is_relative_to(here) and path.parent != here else path


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _exit_code(error: OmnireelError) -> int:
    if isinstance(error, SettingsError):
        return USAGE
    return NO_WEIGHTS if isinstance(error, CheckpointError) else FAILED


def _hint(error: OmnireelError) -> str | None:
    if isinstance(error, CheckpointError):
        return "Give --model a directory with all files of the checkpoint, or demo."
    return None


def _print_bug(error: Exception) -> None:
    if wants_tracebacks():
        traceback.print_exception(error)
    print_error(
        f"Internal error: {type(error).__name__}.",
        "Set OMNIREEL_TRACEBACK=1, run the command again and report what it prints.",
    )


def printable(text: str, *, kept: str = "\n\t") -> str:
    """The text with escapes in place of control characters, which a terminal would obey, but for those to be kept."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
