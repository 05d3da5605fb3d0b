"""Adds commands to the command line. The flags of settings are made from their declarations."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from omnireel.cli.failures import reports_failures
from omnireel.settings import (
    AskSettings,
    Declaration,
    KeySettings,
    Settings,
    declarations,
    read_ask_settings,
    read_key_settings,
    read_settings,
)

Video = Annotated[
    str, typer.Argument(metavar="VIDEO", help="A video file, an https address, or a data: URI.")
]
Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="The question or instruction.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_READERS: Mapping[Any, Callable[[Mapping[str, Any]], object]] = {
    Settings: read_settings,
    AskSettings: read_ask_settings,
    KeySettings: read_key_settings,
}
_Function = TypeVar("_Function", bound=Callable[..., None])


class _Command(TyperCommand):
    """A command whose help shows no value for flags that take none."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401  # typer has no public name for the type
        return _without_values(super().get_params(ctx))


class CommandGroup(TyperGroup):
    """A group of commands whose help shows no value for flags that take none."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401  # typer has no public name for the type
        """The parameters, whose flags take no value in the help."""
        return _without_values(super().get_params(ctx))


def _without_values(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


def command(app: typer.Typer, path: str) -> Callable[[_Function], _Function]:
    """Add the decorated function to `app` as the command `path`, such as "keys create".

    A parameter of type Settings, AskSettings or KeySettings becomes those flags of the class that the command
    takes. The function gets the settings that flags, variables and omnireel.toml give. Its exceptions end the
    process as `reports_failures` describes.
    """

    def add(function: _Function) -> _Function:
        app.command(path.rpartition(" ")[2], cls=_Command)(reports_failures(_with_flags(function, path)))
        return function

    return add


def _with_flags(function: Callable[..., None], path: str) -> Callable[..., None]:
    signature = inspect.signature(function, eval_str=True)
    classes = {p.name: p.annotation for p in signature.parameters.values() if p.annotation in _READERS}
    flags = [d for cls in classes.values() for d in declarations(cls) if path in d.commands]

    @functools.wraps(function)
    def run(**values: Any) -> None:  # noqa: ANN401  # typer passes values of several types
        given = {declared.name: values.pop(declared.name) for declared in flags}
        read = {name: _READERS[cls](given) for name, cls in classes.items()}
        function(**values, **read)

    others = [p for p in signature.parameters.values() if p.name not in classes]
    parameters = sorted([*map(_flag, flags), *others], key=lambda p: p.kind)
    # typer reads parameters from here.
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def _help(declared: Declaration) -> str:
    """The explanation of a flag and its default, as rich's markup."""
    if declared.kind.is_switch or not declared.shown_default:
        return declared.help
    return f"{declared.help} [dim]{escape(f'[default: {declared.shown_default}]')}[/dim]"


def _flag(declared: Declaration) -> inspect.Parameter:
    """The flag of a setting: None if it is not given, else its text. `read_settings` and the like parse it."""
    kind = declared.kind
    option = typer.Option(
        f"{declared.flag}/{declared.negative_flag}" if kind.is_switch else declared.flag,
        metavar=kind.metavar,
        help=_help(declared),
        show_default=False,
        rich_help_panel=declared.group,
    )
    annotation = Annotated[bool | None if kind.is_switch else str | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(
        declared.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )
