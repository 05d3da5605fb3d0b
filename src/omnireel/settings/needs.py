"""Which settings have an effect only with a certain value of another one.

One without effect is refused, unless the other one was given in a place that overrides its own: `--backend local` is
meant for one call, whatever variables say about model servers.
"""

from dataclasses import dataclass

from omnireel.errors import SettingsError
from omnireel.settings.declaration import Declaration, declarations
from omnireel.settings.deployment import REMOTE_BACKENDS, Settings
from omnireel.settings.sources import Place

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
    _Need(
        ("gpu_layers", "flash_attention", "repack", "slots", "threads", "dtype"),
        "backend",
        ("local",),
        "Use --backend local",
    ),
    _Need(("encoders",), "backend", ("local", *REMOTE_BACKENDS), "Use --backend local"),
    _Need(("tls_port",), "tls", ("dev",), "Add --tls dev"),
)


def refuse_without_effect(settings: Settings, command: str) -> None:
    """Raise SettingsError for a setting that was given and that nothing reads with the values of the others.

    command: only settings that it takes as flags are looked at, so that a variable may be meant for others
    """
    for need in _unmet(settings, command):
        for declared in _refused(settings, command, need.names, need.other):
            why = f"{need.other} is {getattr(settings, need.other)}"
            raise _without_effect(declared, why, need.hint)


def has_gguf_settings(settings: Settings, command: str) -> bool:
    """Whether a setting was given that has an effect on a GGUF only, and no model or backend that overrides it."""
    return bool(_for_gguf(settings, command))


def refuse_gguf_settings(settings: Settings, command: str) -> None:
    """Raise SettingsError for such a setting; the model is no GGUF."""
    for declared in _for_gguf(settings, command):
        raise _without_effect(
            declared, f"the model {settings.model} is no GGUF", "Name a .gguf file with --model"
        )


def _unmet(settings: Settings, command: str) -> list[_Need]:
    return [
        need
        for need in _NEEDS
        if command in _DECLARED[need.other].commands and getattr(settings, need.other) not in need.values
    ]


def _for_gguf(settings: Settings, command: str) -> list[Declaration]:
    unread = {name for need in _unmet(settings, command) for name in need.names}
    names = tuple(name for name in _ONLY_GGUF if name not in unread)
    return _refused(settings, command, names, "model")


def _refused(settings: Settings, command: str, names: tuple[str, ...], other: str) -> list[Declaration]:
    """Those of the settings that were given, be it with their default, where `other` does not override them.

    A switch that is off and an empty value ask for nothing.
    """
    taken = [_DECLARED[name] for name in names if command in _DECLARED[name].commands]
    other_place = settings.places.get(other, Place.DEFAULT)
    return [
        declared
        for declared in taken
        if settings.places.get(declared.name, Place.DEFAULT) >= max(other_place, Place.FILE)
        and not _asks_for_nothing(declared, getattr(settings, declared.name))
    ]


def _asks_for_nothing(declared: Declaration, value: object) -> bool:
    return value in ((), "") or (declared.kind.is_switch and not value)


def _without_effect(declared: Declaration, why: str, hint: str) -> SettingsError:
    return SettingsError(
        f"{declared.name} is set and has no effect: {why}.",
        hint=f"{hint}, or leave out {declared.flag} ({declared.variable}).",
    )
