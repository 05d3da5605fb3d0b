"""The settings of a deployment: the model, where it listens, what it may fetch, and its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omnireel.errors import OmnireelError
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
    SECRET,
    SWITCH,
    TEXT,
    URLS,
    Network,
    Secret,
    byte_count,
    integer,
    number,
    one_of,
    seconds,
)
from omnireel.settings.sources import Place

REMOTE_BACKENDS = ("vllm", "sglang", "nim", "trtllm", "llama-server")
_KEY_COMMANDS = ("keys create", "keys list", "keys revoke")
_WEBHOOK_COMMANDS = ("webhooks list", "webhooks replay", "webhooks keys", "webhooks rotate")

_MODEL = Group("Model", ("serve", "worker"))
_UPSTREAM = Group("Model servers", ("ask", "serve", "worker", "doctor"))
_LISTENING = Group("Listening and access", ("serve",))
_FILES = Group("Files", ("serve",))
_CONNECTIONS = Group("Outgoing connections", ("serve", "worker"))
_REQUESTS = Group("Requests", ("serve",))
_JOBS = Group("Jobs", ("serve", "worker"))
_DECODING = Group("Video decoding", ("serve", "worker"))


@dataclass(frozen=True)
class Settings:
    """The deployment. Each field but the last is one setting; docs/configuration.md lists them with their help.

    places: where each setting that was given comes from, by name
    """

    model: str = _MODEL.setting(
        TEXT,
        "demo",
        "The model: demo, the directory of a checkpoint, a .gguf file, or the id of a pulled model.",
        example="/srv/models/nemotron-3-nano-omni",
        commands=("ask", "inspect", "trace", "serve", "worker", "doctor"),
    )
    encoders: str = _MODEL.setting(
        TEXT,
        "nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16",
        "Where the config, tokenizer and encoders of a GGUF that lies alone are: a directory or pulled model.",
        example="/srv/models/nemotron-3-nano-omni",
        commands=("ask", "inspect", "trace", "serve", "worker", "doctor"),
        default_text="NVIDIA's BF16 checkpoint",
    )
    dtype: str = _MODEL.setting(
        one_of("auto", "float32", "bfloat16"),
        "auto",
        "The type to compute in. auto chooses the one that is faster on this processor.",
        example="bfloat16",
        commands=("ask", "trace", "serve", "worker", "doctor"),
    )
    context: int | None = _MODEL.setting(
        integer(256, 1_048_576),
        None,
        "Maximum number of tokens in prompt and answer together.",
        example=16_384,
        commands=("ask", "inspect", "trace", "serve", "worker", "doctor"),
        default_text="what the model takes; 32768 for a GGUF",
    )
    slots: int = _MODEL.setting(
        integer(1, 64),
        1,
        "Answers that the model writes at the same time. Each takes memory.",
        example=4,
        commands=("serve", "worker", "doctor"),
    )
    threads: int | None = _MODEL.setting(
        integer(1, 1024),
        None,
        "Threads that compute.",
        example=8,
        commands=("ask", "trace", "serve", "worker"),
        default_text="one for each processor",
    )
    gpu_layers: int | None = _MODEL.setting(
        integer(0, 1000),
        None,
        "Layers of a GGUF that a GPU computes, if the library was built for one.",
        example=20,
        commands=("ask", "trace", "serve", "worker"),
        default_text="all layers",
    )
    flash_attention: str = _MODEL.setting(
        one_of("auto", "on", "off"),
        "auto",
        "Whether a GGUF's attention is computed without its matrix of scores in memory.",
        example="off",
        commands=("ask", "trace", "serve", "worker"),
    )
    repack: bool = _MODEL.setting(
        SWITCH,
        False,
        "Copy a GGUF's weights into a faster layout, which takes the size of the file in memory.",
        example=True,
        commands=("ask", "trace", "serve", "worker"),
    )
    backend: str = _MODEL.setting(
        one_of("local", "echo", *REMOTE_BACKENDS, metavar="BACKEND"),
        "local",
        "local, echo (for tests), or the servers at upstream: vllm, sglang, nim, trtllm, llama-server.",
        example="echo",
        commands=("ask", "inspect", "serve", "worker", "doctor"),
    )
    echo_token_s: float = _MODEL.setting(
        seconds(0, 3600), 0.0, "Time that the echo backend takes for each token.", example=0.05
    )

    upstream: tuple[str, ...] = _UPSTREAM.setting(
        URLS, (), "The model servers to ask, with or without /v1.", example=["http://gpu-1:8000"]
    )
    upstream_key: Secret | None = _UPSTREAM.setting(  # noqa: RUF009  # a field, as all others here
        SECRET,
        None,
        "The API key of the model servers. Others can see flags, so set the variable or a file.",
        example="sk-0123456789",
        default_text="no key",
    )
    upstream_key_file: Path | None = _UPSTREAM.setting(  # noqa: RUF009  # a field, as all others here
        PATH,
        None,
        "A file with the API key of the model servers, or a line for each of them.",
        example="/run/secrets/upstream-keys",
        default_text="no file",
    )
    allow_any_model: bool = _UPSTREAM.setting(
        SWITCH, False, "Also ask a server that serves a model of another name.", example=True
    )
    upstream_requests: int = _UPSTREAM.setting(
        integer(1, 10_000), 64, "Maximum number of requests that one model server runs at a time.", example=16
    )
    upstream_pruning_rate: float = _UPSTREAM.setting(
        number(0, 1, below=True),
        0.5,
        "Share of vision tokens that the model servers drop, as they were started.",
        example=0.7,
        commands=("ask", "inspect", "serve", "worker", "doctor"),
    )
    upstream_exact: bool = _UPSTREAM.setting(
        SWITCH, False, "Send frames and sound without any loss. This takes more bytes.", example=True
    )
    upstream_connect_s: float = _UPSTREAM.setting(
        seconds(0.1, 600), 5.0, "How long a connection to a model server may take.", example=2
    )
    upstream_first_token_s: float = _UPSTREAM.setting(
        seconds(0.1, 86_400), 300.0, "How long a model server may take to its first token.", example=60
    )
    upstream_token_s: float = _UPSTREAM.setting(
        seconds(0.1, 86_400), 60.0, "How long a model server may take from one token to the next.", example=20
    )

    host: str = _LISTENING.setting(
        TEXT, "127.0.0.1", "The address to listen on.", example="0.0.0.0", commands=("serve", "doctor")
    )
    port: int = _LISTENING.setting(
        PORT, 8000, "The port to listen on. 0 takes a free one.", example=9000, commands=("serve", "doctor")
    )
    auth: str = _LISTENING.setting(
        one_of("none", "keys"),
        "none",
        "none lets anyone call. keys asks every caller for an API key.",
        example="keys",
        commands=("serve", "doctor"),
    )
    allow_public: bool = _LISTENING.setting(
        SWITCH,
        False,
        "Listen on an address that other machines can reach, although auth is none.",
        example=True,
    )
    allow_anonymous: bool = _LISTENING.setting(
        SWITCH,
        False,
        "Serve without keys although the data directory has keys of accounts. Anyone can then use it up.",
        example=True,
        commands=("serve", "doctor"),
    )
    tls: str = _LISTENING.setting(
        one_of("none", "dev"),
        "none",
        "dev also serves HTTPS, with a certificate that omnireel makes itself.",
        example="dev",
    )
    tls_port: int = _LISTENING.setting(PORT, 8443, "The port for HTTPS. 0 takes a free one.", example=9443)
    trusted_proxies: tuple[Network, ...] = _LISTENING.setting(
        NETWORKS, (), "Reverse proxies whose X-Forwarded headers are trusted.", example=["10.0.0.0/8", "::1"]
    )
    allowed_hosts: tuple[str, ...] = _LISTENING.setting(
        HOSTS,
        ("*",),
        "Host names by which clients may address the server. * allows any.",
        example=["video.example.com", ".internal.example.com"],
    )
    cors_origins: tuple[str, ...] = _LISTENING.setting(
        ORIGINS,
        ("*",),
        "Web pages that may read answers (CORS). * allows all.",
        example=["https://app.example.com"],
    )

    data_dir: Path | None = _FILES.setting(  # noqa: RUF009  # a field, as all others here
        PATH,
        None,
        "Directory of the database, uploaded files, pulled models and keys.",
        example="/srv/omnireel",
        commands=("serve", "worker", "doctor", "pull", "pack", *_KEY_COMMANDS, *_WEBHOOK_COMMANDS),
        default_text="~/.local/share/omnireel",
    )
    max_upload_bytes: int = _FILES.setting(
        byte_count(1024, 1024 * 1024 * MIB),
        1024 * MIB,
        "Largest file that can be uploaded.",
        example=512 * MIB,
        commands=("serve", "worker"),
    )
    max_stored_bytes: int = _FILES.setting(
        byte_count(0, 1024 * 1024 * 1024 * MIB),
        50 * 1024 * MIB,
        "Maximum size in bytes of uploaded files and unfinished uploads together.",
        example=200 * 1024 * MIB,
    )
    max_stored_bytes_per_account: int = _FILES.setting(
        byte_count(0, 1024 * 1024 * 1024 * MIB),
        10 * 1024 * MIB,
        "Maximum size in bytes of the files and unfinished uploads of one account, with --auth keys.",
        example=1024 * MIB,
    )
    min_free_bytes: int = _FILES.setting(
        byte_count(0, 1024 * 1024 * 1024 * MIB),
        256 * MIB,
        "Space on the disk that stays free. With less, uploads and new requests are refused.",
        example=1024 * MIB,
        commands=("serve", "worker", "doctor"),
    )
    upload_begin_s: float = _FILES.setting(
        seconds(0.1, 604_800), 60.0, "How long an upload waits for its first bytes.", example=300
    )
    upload_open_s: float = _FILES.setting(
        seconds(0.1, 604_800), 3600.0, "How long an upload waits for its next part.", example=600
    )
    upload_keep_s: float = _FILES.setting(
        seconds(1, 10_000_000_000),
        7 * 86_400.0,
        "How long an uploaded file is kept, unless its owner sets another time.",
        example=86_400,
    )

    fetch_allow: tuple[Network, ...] = _CONNECTIONS.setting(
        NETWORKS,
        (),
        "Private, loopback and other special networks that may be connected to.",
        example=["192.168.7.0/24"],
    )
    fetch_deny: tuple[Network, ...] = _CONNECTIONS.setting(
        NETWORKS,
        (),
        "Networks that are never connected to. This overrides fetch_allow.",
        example=["198.18.4.0/24"],
    )
    fetch_hosts: tuple[str, ...] = _CONNECTIONS.setting(
        HOSTS, ("*",), "The only hosts that may be connected to. * allows any.", example=[".example.com"]
    )
    fetch_deny_hosts: tuple[str, ...] = _CONNECTIONS.setting(
        HOSTS,
        (),
        "Hosts that are never connected to. This overrides fetch_hosts.",
        example=["old.example.com"],
    )
    fetch_proxy: tuple[str, int] | None = _CONNECTIONS.setting(
        PROXY,
        None,
        "HTTP proxy for all downloads and webhooks.",
        example="http://proxy.internal:3128",
        default_text="no proxy",
    )
    fetch_ports: tuple[int, ...] = _CONNECTIONS.setting(
        PORTS, (), "Ports that may be connected to besides 443, and 80 with allow_http.", example=[8443]
    )
    allow_http: bool = _CONNECTIONS.setting(
        SWITCH,
        False,
        "Also connect to http addresses. Anyone on the way can read and change the content.",
        example=True,
    )
    max_download_bytes: int = _CONNECTIONS.setting(
        byte_count(1024, 1024 * MIB),
        256 * MIB,
        "Largest video that is downloaded from an address.",
        example=128 * MIB,
    )

    max_body_bytes: int = _REQUESTS.setting(
        byte_count(1024, 1024 * MIB), 64 * MIB, "Largest request body that is read.", example=32 * MIB
    )
    max_connections_per_address: int = _REQUESTS.setting(
        integer(1, 100_000),
        256,
        "Maximum number of connections from one address, unless it is a trusted proxy.",
        example=1000,
    )
    max_open_per_key: int = _REQUESTS.setting(
        integer(1, 100_000), 256, "Maximum number of requests of one key that may be open.", example=1000
    )
    shutdown_s: float = _REQUESTS.setting(
        seconds(0, 3600), 30.0, "How long open requests may still run after SIGTERM.", example=10
    )
    body_memory_bytes: int = _REQUESTS.setting(
        byte_count(MIB, 1024 * 1024 * MIB),
        64 * MIB,
        "Memory for request bodies that arrive, and again for reading them. Beyond it they wait in files.",
        example=256 * MIB,
    )
    max_data_uri_bytes: int = _REQUESTS.setting(
        byte_count(1024, 1024 * MIB), 32 * MIB, "Largest video in a data: URI.", example=16 * MIB
    )
    min_bytes_per_s: int = _REQUESTS.setting(
        byte_count(1, 1024 * MIB),
        16 * 1024,
        "Slowest rate, in bytes a second, at which clients may send bodies and read answers.",
        example=64 * 1024,
    )
    max_slow_s: float = _REQUESTS.setting(
        seconds(0.1, 3600),
        20.0,
        "How long a client may be behind that rate. Its request is ended then.",
        example=60,
    )
    max_requests: int = _REQUESTS.setting(
        integer(1, 10_000),
        32,
        "Maximum number of requests on an open connection that are answered at a time.",
        example=100,
    )
    max_waiting: int = _REQUESTS.setting(
        integer(0, 10_000),
        16,
        "Maximum number of further requests of one account that may wait for their turn.",
        example=50,
    )
    max_failed_clips: int = _REQUESTS.setting(
        integer(1, 1_000_000),
        30,
        "How many clips of one key may turn out to be unusable in a minute. Beyond it, its requests get 429.",
        example=100,
    )
    max_queued: int = _REQUESTS.setting(
        integer(0, 10_000_000),
        100_000,
        "Maximum number of jobs that may wait in the queue. An account may take as much of it as it leaves.",
        example=1000,
    )

    max_running: int = _JOBS.setting(
        integer(1, 1000), 32, "Maximum number of jobs that this process runs at a time.", example=8
    )
    max_crashes: int = _JOBS.setting(
        integer(1, 100),
        3,
        "How many workers may die while they run a job before it ends with an error.",
        example=5,
    )
    lease_s: float = _JOBS.setting(
        seconds(1, 3600),
        15.0,
        "How long other workers wait before they take over the jobs of a dead worker.",
        example=30,
    )
    max_run_s: float = _JOBS.setting(
        seconds(1, 86_400), 1800.0, "Longest time for one attempt at a job.", example=600
    )

    max_video_s: float = _DECODING.setting(
        seconds(1, 7200),
        120.0,
        "Longest video, or part of a video, that is looked at.",
        example=600,
    )
    max_resolution: str = _DECODING.setting(
        one_of("1080p", "4k"), "1080p", "Largest pictures that are read, in either orientation.", example="4k"
    )
    allow_weak_sandbox: bool = _DECODING.setting(
        SWITCH, False, "Decode videos although this kernel cannot confine the video decoder.", example=True
    )

    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    @property
    def data_directory(self) -> Path:
        """The directory of everything that lasts. Raises OmnireelError where none is named and there is no home."""
        if self.data_dir is not None:
            return self.data_dir
        try:
            home = Path.home()
        except RuntimeError:
            raise OmnireelError(
                "There is no data directory: this user has no home directory.",
                hint="Set OMNIREEL_DATA_DIR, or data_dir in omnireel.toml.",
            ) from None
        return home / ".local" / "share" / "omnireel"

    @property
    def incoming_dir(self) -> Path:
        """Directory of the videos of running requests."""
        return self.data_directory / "incoming"

    @property
    def uploads_dir(self) -> Path:
        """Directory of uploaded files."""
        return self.data_directory / "uploads"

    @property
    def models_dir(self) -> Path:
        """Directory of pulled checkpoints."""
        return self.data_directory / "models"

    @property
    def tls_dir(self) -> Path:
        """Directory of the certificates and keys of `tls = "dev"`."""
        return self.data_directory / "tls"

    @property
    def pepper_path(self) -> Path:
        """File with the secret that API keys are hashed with."""
        return self.data_directory / "pepper"

    @property
    def store_path(self) -> Path:
        """The database of jobs."""
        return self.data_directory / "omnireel.db"

    @property
    def webhook_keys_path(self) -> Path:
        """File with the keys that sign webhooks."""
        return self.data_directory / "webhook-keys.json"
