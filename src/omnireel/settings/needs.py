"""Which settings have an effect only with a certain value of another one."""

from dataclasses import dataclass

from omnireel.errors import SettingsError
from omnireel.settings.declaration import Declaration, declarations
from omnireel.settings.deployment import REMOTE_BACKENDS, Settings

_ONLY_GGUF = ("gpu_layers", "flash_attention", "repack", "encoders")
_DECLARED = {declared.name: declared for declared in declarations(Settings)}


@dataclass(frozen=True)
class _Need:
    """Settings that have an effect only where the setting `other` has one of `values`. hint: how to give it one"""

    names: tuple[str, ...]
    other: str
    values: tuple[str, ...]
    hint: str


_NEEDS = (
    _Need(
        tuple(name for name in _DECLARED if name.startswith("upstream") or name == "allow_any_model"),
        "backend",
        REMOTE_BACKENDS,
        "Add --backend vllm, or the name of another kind of model server",
    ),
    _Need(("echo_token_s",), "backend", ("echo",), "Add --backend echo"),
    _Need(("gpu_layers", "flash_attention", "repack"), "backend", ("local",), "Use --backend local"),
    _Need(("encoders",), "backend", ("local", *REMOTE_BACKENDS), "Use --backend local"),
    _Need(("tls_port",), "tls", ("dev",), "Add --tls dev"),
)


def refuse_without_effect(settings: Settings, command: str) -> None:
    """Raise SettingsError for a setting that was given and that nothing reads with the values of the others.

    command: only settings that it takes as flags are looked at, so that a variable may be meant for others
    """
    for need in _NEEDS:
        value = getattr(settings, need.other)
        if value in need.values or command not in _DECLARED[need.other].commands:
            continue
        for declared in _given(settings, command, need.names):
            raise _without_effect(declared, f"{need.other} is {value}", need.hint)


def has_gguf_settings(settings: Settings, command: str) -> bool:
    """Whether a setting was given that has an effect on a GGUF only."""
    return bool(_given(settings, command, _ONLY_GGUF))


def refuse_gguf_settings(settings: Settings, command: str) -> None:
    """Raise SettingsError for such a setting; the model is no GGUF."""
    for declared in _given(settings, command, _ONLY_GGUF):
        raise _without_effect(
            declared, f"the model {settings.model} is no GGUF", "Name a .gguf file with --model"
        )


def _given(settings: Settings, command: str, names: tuple[str, ...]) -> list[Declaration]:
    """Those of the settings that were given, be it with their default. A switch that is off asks for nothing."""
    taken = [_DECLARED[name] for name in names if command in _DECLARED[name].commands]
    return [
        declared
        for declared in taken
        if declared.name in settings.places
        and not (declared.kind.is_switch and not getattr(settings, declared.name))
    ]


def _without_effect(declared: Declaration, why: str, hint: str) -> SettingsError:
    return SettingsError(
        f"{declared.name} is set and has no effect: {why}.",
        hint=f"{hint}, or leave out {declared.flag} ({declared.variable}).",
    )
