"""Write docs/configuration.md from the declarations of the settings: `python tools/configuration_page.py`."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from omnireel.settings import AskSettings, Declaration, KeySettings, Settings, declarations

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
INTRODUCTION = """\
<!-- This page is generated. Change the declarations in src/omnireel/settings/ and run
     `python tools/configuration_page.py`. -->

# Configuration

Every setting can be given in four ways. The first one that is present wins:

1. a flag on the command line: `--max-running 8`;
2. an environment variable: `OMNIREEL_MAX_RUNNING=8`;
3. a line of the file `omnireel.toml` in the working directory: `max_running = 8`;
4. its default.

A value that cannot be used is an error that names the setting and the accepted values; the exit code is 2.
An unknown name in `omnireel.toml` is an error too. An unknown variable that begins with `OMNIREEL_` causes a
warning.

A switch is turned on with `--allow-http` and off with `--no-allow-http`. Variables and the file take `true`
and `false`; `yes`, `no`, `1` and `0` are accepted as text. A list has commas between its values
(`--fetch-ports 8080,8443`), or is an array in `omnireel.toml`. Flags belong to the commands that are named
with each setting. Variables and the file count for every command that uses the setting.

An example `omnireel.toml` for a server with API keys:

```toml
model = "/srv/models/nemotron-3-nano-omni"
host = "0.0.0.0"
auth = "keys"
data_dir = "/srv/omnireel"
max_running = 8
max_download_bytes = 268_435_456
fetch_allow = ["192.168.7.0/24"]
fetch_hosts = [".example.com"]
```
"""
SECTIONS = (
    (
        "Deployment",
        "The server and the workers read these settings. Other commands read those that they need.",
        Settings,
    ),
    (
        "Questions on the command line",
        "`ask`, `inspect` and `trace` send these along with a question. A request over HTTP brings its own.",
        AskSettings,
    ),
    ("New API key", "`keys create` gives these to the key that it makes.", KeySettings),
)
ENDING = """\
## Variables that are not settings

- `OMNIREEL_TRACEBACK=1` prints the traceback of an internal error.
- `SSL_CERT_FILE` names a file with the certificate authorities that outgoing connections trust.
"""
HEADER = """\
| Flag | Variable | `omnireel.toml` | Values | Default |
|---|---|---|---|---|"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), "utf-8")


def render() -> str:
    """The page, as Markdown."""
    sections = [_section(title, text, declarations(cls)) for title, text, cls in SECTIONS]
    return "\n".join([INTRODUCTION, *sections, ENDING])


def _section(title: str, text: str, declared: Sequence[Declaration]) -> str:
    blocks = [f"## {title}\n\n{text}\n"]
    for group, settings in groupby(declared, key=lambda setting: setting.group):
        if group != title:
            blocks.append(f"### {group}\n")
        blocks += map(_entry, settings)
    return "\n".join(blocks)


def _entry(setting: Declaration) -> str:
    flag = f"`{setting.flag}`" + (f", `{setting.negative_flag}`" if setting.kind.is_switch else "")
    cells = (flag, f"`{setting.variable}`", f"`{toml_line(setting)}`", setting.kind.wanted, _default(setting))
    row = " | ".join(cells)
    commands = f"Commands with the flag: {_listed(setting.commands)}."
    return f"#### `{setting.name}`\n\n{setting.help}\n\n{HEADER}\n| {row} |\n\n{commands}\n"


def toml_line(setting: Declaration) -> str:
    """The line of omnireel.toml that gives the setting its example."""
    return f"{setting.name} = {_toml(setting.example)}"


def _toml(value: object) -> str:
    # TOML writes text, numbers, truth values and arrays as JSON does.
    return json.dumps(value)


def _default(setting: Declaration) -> str:
    shown = setting.shown_default or "none"
    if setting.default in (None, ()):
        return shown
    exact = _toml(setting.default)
    return f"`{exact}`" if exact.strip('[]"') == shown else f"`{exact}` ({shown})"


def _listed(commands: Iterable[str]) -> str:
    return ", ".join(f"`{command}`" for command in commands)


if __name__ == "__main__":
    main()
