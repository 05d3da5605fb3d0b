"""The settings of a deployment: the model, where it listens, what it may fetch, and its limits."""

from dataclasses import dataclass
from pathlib import Path

from omnireel.settings.declaration import Group
from omnireel.settings.kinds import (
    HOSTS,
    MIB,
    NETWORKS,
    ORIGINS,
    PATH,
    PORT,
    PORTS,
    PROXY,
    SWITCH,
    TEXT,
    Network,
    byte_count,
    integer,
    one_of,
    seconds,
)

_KEY_COMMANDS = ("keys create", "keys list", "keys revoke")
_WEBHOOK_COMMANDS = ("webhooks list", "webhooks replay", "webhooks keys", "webhooks rotate")

_MODEL = Group("Model", ("serve", "worker"))
_LISTENING = Group("Listening and access", ("serve",))
_FILES = Group("Files", ("serve",))
_CONNECTIONS = Group("Outgoing connections", ("serve", "worker"))
_REQUESTS = Group("Requests", ("serve",))
_JOBS = Group("Jobs", ("serve", "worker"))


@dataclass(frozen=True)
class Settings:
    """The deployment. Each field is one setting; docs/configuration.md lists them with their help."""

    model: str = _MODEL.setting(
        TEXT,
        "demo",
        "The model: demo, the directory of a checkpoint, or the id of a pulled model.",
        commands=("ask", "inspect", "trace", "serve", "worker", "doctor"),
    )
    dtype: str = _MODEL.setting(
        one_of("auto", "float32", "bfloat16"),
        "auto",
        "The type to compute in. auto takes the one that is faster on this processor.",
        commands=("ask", "trace", "serve", "worker"),
    )
    backend: str = _MODEL.setting(
        one_of("local", "echo"), "local", "local runs the model. echo repeats the prompt, for tests."
    )
    echo_token_s: float = _MODEL.setting(
        seconds(0, 3600), 0.0, "Time that the echo backend takes for each token."
    )
    allow_weak_sandbox: bool = _MODEL.setting(
        SWITCH, False, "Decode videos although this kernel cannot confine the video decoder."
    )

    host: str = _LISTENING.setting(
        TEXT, "127.0.0.1", "The address to listen on.", commands=("serve", "doctor")
    )
    port: int = _LISTENING.setting(
        PORT, 8000, "The port to listen on. 0 takes a free one.", commands=("serve", "doctor")
    )
    auth: str = _LISTENING.setting(
        one_of("none", "keys"), "none", "none lets anyone call. keys asks every caller for an API key."
    )
    allow_public: bool = _LISTENING.setting(
        SWITCH, False, "Listen on an address that other machines can reach, although auth is none."
    )
    tls: str = _LISTENING.setting(
        one_of("none", "dev"), "none", "dev also serves HTTPS, with a certificate that omnireel makes itself."
    )
    tls_port: int = _LISTENING.setting(PORT, 8443, "The port for HTTPS. 0 takes a free one.")
    trusted_proxies: tuple[Network, ...] = _LISTENING.setting(
        NETWORKS, (), "Reverse proxies whose X-Forwarded headers are trusted."
    )
    allowed_hosts: tuple[str, ...] = _LISTENING.setting(
        HOSTS, ("*",), "Host names by which clients may address the server. * allows any."
    )
    cors_origins: tuple[str, ...] = _LISTENING.setting(
        ORIGINS, ("*",), "Web pages that may read answers (CORS). * allows all."
    )

    data_dir: Path | None = _FILES.setting(  # noqa: RUF009  # a field, as all others here
        PATH,
        None,
        "Directory of the database, uploaded files, pulled models and keys.",
        commands=("serve", "worker", "doctor", "pull", *_KEY_COMMANDS, *_WEBHOOK_COMMANDS),
        default_text="~/.local/share/omnireel",
    )
    max_upload_bytes: int = _FILES.setting(
        byte_count(1024, 1024 * 1024 * MIB), 1024 * MIB, "Largest file that can be uploaded."
    )
    max_stored_bytes: int = _FILES.setting(
        byte_count(0, 1024 * 1024 * 1024 * MIB),
        50 * 1024 * MIB,
        "Most bytes of uploaded files and unfinished uploads together.",
    )
    upload_open_s: float = _FILES.setting(
        seconds(0.1, 604_800), 3600.0, "How long an upload waits for its next part."
    )
    upload_keep_s: float = _FILES.setting(
        seconds(1, 10_000_000_000),
        7 * 86_400.0,
        "How long an uploaded file is kept, unless its owner sets another time.",
    )

    fetch_allow: tuple[Network, ...] = _CONNECTIONS.setting(
        NETWORKS, (), "Private, loopback and other special networks that may be connected to."
    )
    fetch_deny: tuple[Network, ...] = _CONNECTIONS.setting(
        NETWORKS, (), "Networks that are never connected to. This overrides fetch_allow."
    )
    fetch_hosts: tuple[str, ...] = _CONNECTIONS.setting(
        HOSTS, ("*",), "The only hosts that may be connected to. * allows any."
    )
    fetch_deny_hosts: tuple[str, ...] = _CONNECTIONS.setting(
        HOSTS, (), "Hosts that are never connected to. This overrides fetch_hosts."
    )
    fetch_proxy: tuple[str, int] | None = _CONNECTIONS.setting(
        PROXY, None, "HTTP proxy for all downloads and webhooks.", default_text="no proxy"
    )
    fetch_ports: tuple[int, ...] = _CONNECTIONS.setting(
        PORTS, (), "Ports that may be connected to besides 443, and 80 with allow_http."
    )
    allow_http: bool = _CONNECTIONS.setting(
        SWITCH, False, "Also connect to http addresses. Anyone on the way can read and change the content."
    )
    max_download_bytes: int = _CONNECTIONS.setting(
        byte_count(1024, 1024 * MIB), 256 * MIB, "Largest video that is downloaded from an address."
    )

    max_body_bytes: int = _REQUESTS.setting(
        byte_count(1024, 1024 * MIB), 64 * MIB, "Largest request body that is read."
    )
    max_data_uri_bytes: int = _REQUESTS.setting(
        byte_count(1024, 1024 * MIB), 32 * MIB, "Largest video in a data: URI."
    )
    max_requests: int = _REQUESTS.setting(
        integer(1, 10_000), 32, "Most clients that may wait for an answer on an open connection."
    )
    max_queued: int = _REQUESTS.setting(
        integer(0, 10_000_000), 100_000, "Most jobs that may wait in the queue."
    )

    max_running: int = _JOBS.setting(integer(1, 1000), 32, "Most jobs that this process runs at a time.")
    max_crashes: int = _JOBS.setting(
        integer(1, 100), 3, "How many workers may die while they run a job before it ends with an error."
    )
    lease_s: float = _JOBS.setting(
        seconds(1, 3600), 15.0, "How long other workers wait before they take over the jobs of a dead worker."
    )
    max_run_s: float = _JOBS.setting(seconds(1, 86_400), 1800.0, "Longest time for one attempt at a job.")

    @property
    def incoming_dir(self) -> Path:
        """Directory of the videos of running requests."""
        return self._data_dir / "incoming"

    @property
    def uploads_dir(self) -> Path:
        """Directory of uploaded files."""
        return self._data_dir / "uploads"

    @property
    def models_dir(self) -> Path:
        """Directory of pulled checkpoints."""
        return self._data_dir / "models"

    @property
    def tls_dir(self) -> Path:
        """Directory of the certificates and keys of `tls = "dev"`."""
        return self._data_dir / "tls"

    @property
    def pepper_path(self) -> Path:
        """File with the secret that API keys are hashed with."""
        return self._data_dir / "pepper"

    @property
    def store_path(self) -> Path:
        """The database of jobs."""
        return self._data_dir / "omnireel.db"

    @property
    def webhook_keys_path(self) -> Path:
        """File with the keys that sign webhooks."""
        return self._data_dir / "webhook-keys.json"

    @property
    def _data_dir(self) -> Path:
        return self.data_dir or Path.home() / ".local" / "share" / "omnireel"
