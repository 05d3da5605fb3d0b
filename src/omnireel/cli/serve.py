"""`omnireel serve`: serves the endpoint over HTTP and HTTPS."""

import asyncio
import math
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

import structlog
import typer
import uvicorn
from starlette.applications import Starlette

from omnireel.api.app import create_app
from omnireel.backends.base import Health
from omnireel.cli.backend import (
    check_effects,
    counts_notice,
    demo_notice,
    open_backend,
    served_limits,
    served_model,
)
from omnireel.cli.failures import INTERRUPTED
from omnireel.cli.sandbox import fork_server_running, require_linux, require_sandbox
from omnireel.cli.serving.bounded_writer import BoundedWriter
from omnireel.cli.serving.connection import BACKLOG, MAX_HEAD_S, Connection
from omnireel.cli.serving.connections import ConnectionLimits, Connections, allow_many_files
from omnireel.cli.serving.log import descriptor_of, end_process, logging_to_stderr
from omnireel.cli.serving.recipes import recipe
from omnireel.errors import OmnireelError, SettingsError
from omnireel.jobs.supervisor import Supervisor
from omnireel.settings import Settings, is_run_by_make
from omnireel.storage.directories import make_directory
from omnireel.store.open import has_keys

# Callers get their answers in this time after the jobs that they wait for were ended, then connections are closed.
_ANSWER_S = 2.0
# How long a closing connection may take for its last bytes and the TLS close alert. An idle client may never send
# that alert, and the server would wait for it when it stops: by default half a minute. Answers are short.
_TLS_CLOSE_S = 1
_MAX_PORT = 65_535
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger()


@dataclass(frozen=True)
class TlsListener:
    """The listener for HTTPS: a bound socket, and its certificates."""

    socket: socket.socket
    context: ssl.SSLContext


def serve_forever(settings: Settings) -> None:
    """Serve until a signal comes. Running requests then have `shutdown_s` to finish.

    Raises SettingsError if others could call without a key, OmnireelError if the address cannot be bound,
    the decoder cannot be confined or the data directory cannot be used, CheckpointError if the model cannot be
    loaded.
    """
    require_linux()
    _check_ports(settings)
    check_effects(settings, "serve")
    with logging_to_stderr() as log_writer:
        require_sandbox(settings)
        make_directory(settings.data_directory)
        refuse_accounts_without_keys(settings)
        allow_many_files()
        with bound_socket(settings, settings.port) as plain, _tls_listener(settings) as tls:
            app = create_app(
                open_backend(settings, served_limits(settings)),
                settings,
                on_failure=partial(end_process, log_writer),
                num_dropped=lambda: log_writer.num_dropped,
            )
            server = _Server(app, settings, plain, tls=tls)
            with fork_server_running():
                asyncio.run(server.serve([plain]))
    if server.first_signal == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _check_ports(settings: Settings) -> None:
    if settings.tls != "none" and settings.port == settings.tls_port != 0:
        raise SettingsError(
            f"port and tls_port are both {settings.port}.",
            hint="Give --tls-port another port; 0 takes a free one.",
        )


@contextmanager
def _tls_listener(settings: Settings) -> Iterator[TlsListener | None]:
    if settings.tls == "none":
        yield None
        return
    from omnireel.cli.serving.tls import dev_context  # noqa: PLC0415  # its library is loaded only for TLS

    with bound_socket(settings, settings.tls_port, flag="--tls-port") as listener:
        yield TlsListener(listener, dev_context(settings.tls_dir, settings.host))


class _Server(uvicorn.Server):
    """Uvicorn's server with an optional second socket for HTTPS. It does not raise a signal again when it ends."""

    def __init__(
        self, app: Starlette, settings: Settings, plain: socket.socket, *, tls: TlsListener | None
    ) -> None:
        self._open = Connections(connection_limits(settings))
        config = uvicorn.Config(
            app,
            http=partial(Connection, open=self._open),  # type: ignore[arg-type]  # uvicorn only calls it
            ws="none",
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # uvicorn would trust every process of this machine: see `trusted_proxies`
            timeout_graceful_shutdown=math.ceil(settings.shutdown_s + 2 * _ANSWER_S),
        )
        super().__init__(config)
        self.first_signal: signal.Signals | None = None
        self._supervisor: Supervisor = app.state.supervisor
        self._settings = settings
        self._plain = plain
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. The log line follows only when connections are accepted, since scripts wait for it.

        Raises OmnireelError if another server has begun to listen there while the model was loaded: both could bind.
        """
        with _port_errors(self._settings.host, self._plain.getsockname()[1], "--port"):
            self._plain.listen(BACKLOG)  # before the application starts, which would have to be stopped again
        if self._tls is not None:
            with _port_errors(self._settings.host, self._tls.socket.getsockname()[1], "--tls-port"):
                self._tls.socket.listen(BACKLOG)
        await super().startup(sockets)
        urls = {"url": self._url("http", self._plain)}
        if self._tls is not None:
            await self._listen_for_tls(self._tls)
            urls["tls_url"] = self._url("https", self._tls.socket)
        health = await self._supervisor.backend.health()
        log.info("listening", **urls, model=served_model(self._settings, health))
        ca, asks_for_key = self._settings.tls_dir / "ca.pem", self._settings.auth == "keys"
        notice = self._notice(health)
        text = recipe(urls["url"], urls.get("tls_url"), ca, asks_for_key=asks_for_key, notice=notice)
        # Serving does not depend on the reader of stdout.
        BoundedWriter(descriptor_of(sys.stdout), lambda _: "").write(f"{text}\n")

    def _notice(self, health: Health) -> str | None:
        """What is to be said before the instructions, a line each; None for nothing."""
        first = demo_notice(self._settings) if health.is_ready else _unready_notice(health)
        return "\n".join(filter(None, (first, counts_notice(self._settings)))) or None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop. After `shutdown_s` the jobs of open requests end as lost, and then all connections are closed."""
        loop, shutdown_s = asyncio.get_running_loop(), self._settings.shutdown_s
        loop.call_later(shutdown_s, self._supervisor.give_up)
        loop.call_later(shutdown_s + _ANSWER_S, self._open.end_all)
        await super().shutdown(sockets)

    async def _listen_for_tls(self, tls: TlsListener) -> None:
        """Listen on the second socket too. Both share one application, and end their requests together."""

        def protocol() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn's own startup does
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        loop = asyncio.get_running_loop()
        self.servers.append(
            await loop.create_server(
                protocol,
                sock=tls.socket,
                backlog=BACKLOG,
                ssl=tls.context,
                ssl_handshake_timeout=MAX_HEAD_S,
                ssl_shutdown_timeout=_TLS_CLOSE_S,
            )
        )

    def _url(self, scheme: str, listener: socket.socket) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)
        return f"{scheme}://{_in_url(host)}:{listener.getsockname()[1]}"

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal stops the server gracefully, a second one at once."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        yield
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        if self.first_signal is None:
            self.first_signal = number
            log.info("stopping", signal=number.name, grace_s=self._settings.shutdown_s)


def _unready_notice(health: Health) -> str:
    return (
        f"{health.detail or 'The model cannot be asked.'} Requests get 503 until one does: see /health/ready."
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """The limits on connections that the settings name."""
    return ConnectionLimits(
        settings.max_connections_per_address,
        settings.min_bytes_per_s,
        settings.max_slow_s,
        settings.trusted_proxies,
    )


def bound_socket(settings: Settings, port: int, flag: str = "--port") -> socket.socket:
    """A bound socket that does not listen yet, so that nobody can connect before the model is loaded.

    flag: the flag that sets the port, for the hint
    Raises OmnireelError if the address cannot be bound, SettingsError if other machines could call without a key.
    """
    host = settings.host
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise OmnireelError(
            f"{host} is not an address of this machine.", hint="Try --host 127.0.0.1."
        ) from None
    _refuse_public_without_keys(settings, str(address[0]))
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit this option. asyncio sets it only on sockets that name their protocol. Without
    # it the second part of every answer waits 40 ms until the first is acknowledged.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with ExitStack() as on_failure, _port_errors(host, port, flag):
        on_failure.enter_context(listener)
        listener.bind(address)
        on_failure.pop_all()
    return listener


@contextmanager
def _port_errors(host: str, port: int, flag: str) -> Iterator[None]:
    """Raise OmnireelError where a port cannot be bound or listened on. flag: the flag that sets the port"""
    try:
        yield
    except OSError as error:
        raise OmnireelError(
            f"Cannot listen on {host} port {port}: {error.strerror}.",
            hint=f"Stop the program that listens there, or choose another port: {_port_choice(flag, port)}. "
            "0 takes a free one.",
        ) from None


def _port_choice(flag: str, port: int) -> str:
    """How the user says which port to use instead of `port`."""
    other = str(port + 1 if port < _MAX_PORT else port - 1)
    if not is_run_by_make():
        return f"{flag} {other}"
    return f"make serve PORT={other}" if flag == "--port" else f"OMNIREEL_TLS_PORT={other} make serve"


def _refuse_public_without_keys(settings: Settings, address: str) -> None:
    if settings.auth != "none" or settings.allow_public or ip_address(address).is_loopback:
        return
    raise SettingsError(
        f"host is {settings.host}, which other machines can reach, and auth is none: anyone could call.",
        hint="Use --host 127.0.0.1 or --auth keys, or --allow-public if everyone may call.",
    )


def refuse_accounts_without_keys(settings: Settings) -> None:
    """Raise SettingsError if keys were made here and the server would ask for none: its flag was forgotten."""
    if settings.auth != "none" or settings.allow_anonymous or not has_keys(settings.store_path):
        return
    raise SettingsError(
        f"There are keys in {settings.data_directory}, and auth is none: anyone could call.",
        hint="Use --auth keys, or --allow-anonymous if callers need no key any more.",
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
