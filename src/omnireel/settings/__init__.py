"""How this process was told to run: the only reader of the environment and of omnireel.toml.

Every setting can be given four ways; the first that is present wins: a flag (`--port 9000`), a variable
(`OMNIREEL_PORT=9000`), a line of `omnireel.toml` in the working directory (`port = 9000`), the default
written here. A value that cannot be used is refused by name, never replaced.
"""

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from omnireel.errors import SettingsError
from omnireel.settings import kinds as setting_kinds
from omnireel.settings.sources import FILE, PREFIX, Sources, closest
from omnireel.settings.table import KINDS, MIB

TRACEBACK = PREFIX + "TRACEBACK"
Network = setting_kinds.Network
_T = TypeVar("_T")


@dataclass(frozen=True)
class Settings:
    """The deployment: which model, where it listens, how much it takes on.

    model:               "demo", the directory of a checkpoint, or the id of a pulled one
    dtype:               what the model computes in; "auto": whatever this processor is fast at
    data_dir:            where files live that outlast a call of a function; None: the user's data directory
    auth:                "keys": only who has a key may call
    allow_public:        listen where others can reach us, although anyone may call
    allow_weak_sandbox:  decode videos although the kernel cannot confine the decoder
    tls:                 "dev": listen for https too, with a certificate of our own making
    trusted_proxies:     who may say, in X-Forwarded-* headers, which address a client used
    allowed_hosts:       names by which a client may address us; "*" is any
    cors_origins:        web pages that may read answers; "*" is all of them
    max_body_bytes:      longest request body that is read at all
    max_data_uri_bytes:  largest file that a data: URI may hold
    max_download_bytes:  largest file that is fetched from an https address
    max_upload_bytes:    largest file that may be uploaded
    max_stored_bytes:    all uploaded files and unfinished parts together
    upload_open_s:       how long an upload's address holds; each part that arrives begins it anew
    upload_keep_s:       how long an uploaded file is kept where its owner says nothing
    fetch_allow:         networks that may be fetched from although they are private, loopback and the like
    fetch_deny:          networks that are never fetched from; wins over fetch_allow
    fetch_hosts:         names that alone may be fetched from; "*" is any
    fetch_deny_hosts:    names that are never fetched from
    fetch_proxy:         host and port of the HTTP proxy that every fetch and every webhook goes through
    fetch_ports:         ports that may be fetched from beside 443, and 80 with allow_http
    allow_http:          also fetch from http addresses, which anyone on the way can read and change
    max_requests:        how many callers may wait for an answer on the line at a time
    max_queued:          how many jobs may wait in the queue
    max_running:         how many jobs this process works on at a time
    max_crashes:         how many workers a job may take down with it before it ends as lost
    lease_s:             how long a worker that died keeps its jobs from the others
    max_run_s:           longest time that one attempt at a job may take
    echo_token_s:        seconds the echo backend takes for each token
    """

    model: str = "demo"
    dtype: str = "auto"
    backend: str = "local"
    host: str = "127.0.0.1"
    port: int = 8000
    data_dir: Path | None = None
    auth: str = "none"
    allow_public: bool = False
    allow_weak_sandbox: bool = False
    tls: str = "none"
    tls_port: int = 8443
    trusted_proxies: tuple[Network, ...] = ()
    allowed_hosts: tuple[str, ...] = ("*",)
    cors_origins: tuple[str, ...] = ("*",)
    max_body_bytes: int = 64 * MIB
    max_data_uri_bytes: int = 32 * MIB
    max_download_bytes: int = 256 * MIB
    max_upload_bytes: int = 1024 * MIB
    max_stored_bytes: int = 50 * 1024 * MIB
    upload_open_s: float = 3600.0
    upload_keep_s: float = 7 * 86_400.0
    fetch_allow: tuple[Network, ...] = ()
    fetch_deny: tuple[Network, ...] = ()
    fetch_hosts: tuple[str, ...] = ("*",)
    fetch_deny_hosts: tuple[str, ...] = ()
    fetch_proxy: tuple[str, int] | None = None
    fetch_ports: tuple[int, ...] = ()
    allow_http: bool = False
    max_requests: int = 32
    max_queued: int = 100_000
    max_running: int = 32
    max_crashes: int = 3
    lease_s: float = 15.0
    max_run_s: float = 1800.0
    echo_token_s: float = 0.0

    @property
    def incoming_dir(self) -> Path:
        """Where the videos of running requests lie."""
        return self._data_dir / "incoming"

    @property
    def uploads_dir(self) -> Path:
        """Where uploaded files lie."""
        return self._data_dir / "uploads"

    @property
    def models_dir(self) -> Path:
        """Where pulled checkpoints lie."""
        return self._data_dir / "models"

    @property
    def tls_dir(self) -> Path:
        """Where the certificates and keys of `tls = "dev"` lie."""
        return self._data_dir / "tls"

    @property
    def pepper_path(self) -> Path:
        """What secrets of keys are hashed with."""
        return self._data_dir / "pepper"

    @property
    def store_path(self) -> Path:
        """The database of jobs."""
        return self._data_dir / "omnireel.db"

    @property
    def webhook_keys_path(self) -> Path:
        """The keys that sign webhooks."""
        return self._data_dir / "webhook-keys.json"

    @property
    def _data_dir(self) -> Path:
        return self.data_dir or Path.home() / ".local" / "share" / "omnireel"


@dataclass(frozen=True)
class AskSettings:
    """What `ask` and `inspect` send along with the question; None: the model's own choice."""

    think: bool = False
    system: str | None = None
    max_tokens: int = 1024
    temperature: float = 0.7
    top_p: float = 0.95
    seed: int | None = None
    reasoning_budget: int | None = None
    grace_period: int = 0
    start: float | None = None
    end: float | None = None
    fps: float | None = None
    max_frames: int | None = None
    video_pruning_rate: float | None = None
    audio: bool | None = None


@dataclass(frozen=True)
class KeySettings:
    """What `keys create` gives to a key, see jobs.keys.Grant; caps here are millionths of a dollar."""

    account: str | None = None
    key_name: str | None = None
    admin: bool = False
    max_per_minute: int | None = None
    max_unfinished: int | None = None
    cap_usd: int | None = None
    monthly_cap_usd: int | None = None


def _read(cls: type[_T], sources: Sources) -> _T:
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # all classes here are dataclasses
        found = sources.find(field.name)
        if found is None:
            continue
        raw, place = found
        kind = KINDS[field.name]
        try:
            values[field.name] = kind.parse(raw)
        except ValueError:
            raise SettingsError(
                f"{place} is {raw!r}, not {kind.wanted}", hint=f"set {place} to {kind.wanted}"
            ) from None
    return cls(**values)


def _read_file() -> dict[str, Any]:
    try:
        text = FILE.read_text("utf-8")
    except FileNotFoundError:
        return {}
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{FILE} is not TOML: {error}", hint=f"mend {FILE} or move it away") from None
    for key in table:
        if key not in KINDS:
            raise SettingsError(f"{FILE} has the unknown setting {key!r}", hint=closest(key, set(KINDS)))
    return table


def unknown_variables() -> list[str]:
    """One line of warning for each OMNIREEL_* variable that sets nothing."""
    known = {PREFIX + name.upper() for name in KINDS} | {TRACEBACK}
    strangers = [name for name in os.environ if name.startswith(PREFIX) and name not in known]
    return [f"{name} sets nothing; {closest(name, known)}" for name in sorted(strangers)]


def wants_tracebacks() -> bool:
    """Whether OMNIREEL_TRACEBACK asks for the traceback of an internal error."""
    return os.environ.get(TRACEBACK, "0") not in ("", "0")


def read_settings(flags: Mapping[str, Any]) -> Settings:
    """The deployment's settings.

    flags: what the command line gave, by setting name; None means not given
    Raises SettingsError, which names the place, the value and what was wanted.
    """
    return _read(Settings, Sources(flags, os.environ, _read_file()))


def read_ask_settings(flags: Mapping[str, Any]) -> AskSettings:
    """What the command line sends along with a question; `flags` and errors as in `read_settings`."""
    return _read(AskSettings, Sources(flags, os.environ, _read_file()))


def read_key_settings(flags: Mapping[str, Any]) -> KeySettings:
    """What a new key is given; `flags` and errors as in `read_settings`."""
    return _read(KeySettings, Sources(flags, os.environ, _read_file()))
