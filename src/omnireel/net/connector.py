"""The only place that opens outgoing connections.

A name is resolved once, by us; every address it has must be one that may be connected to; and the connection
goes to one of those very addresses, never to a name that something else would resolve again. So a name server
that changes its answer gains nothing. The environment's proxies, netrc and cookies play no part; a proxy that
the operator names is given the checked address.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from omnireel.errors import InputError
from omnireel.net.addresses import Address, Network, unmapped, why_refused
from omnireel.net.errors import log, not_fetched, unreachable
from omnireel.net.per_host_limit import PerHostLimit
from omnireel.net.proxy_tunnel import Proxy, open_tunnel
from omnireel.net.urls import DEFAULT_PORTS, Target, is_one_of

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

READ_BYTES = 64 * 1024
_MAX_ATTEMPTS = 3
# Threads of their own: a name server that never answers must not take those that read and write files. It
# holds one for half a minute, ten times longer than anybody waits: so many that other names still find one.
_RESOLVING = ThreadPoolExecutor(128, thread_name_prefix="resolve")


async def resolve_name(host: str, port: int) -> list[str]:
    """The IP addresses of `host` as the system knows them; raises OSError when there are none."""
    look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_RESOLVING, look_up)
    return [str(item[4][0]) for item in found]


@functools.cache
def system_trust() -> ssl.SSLContext:
    """Trusts whom the system trusts, or whom SSL_CERT_FILE names; checks names; TLS 1.2 or newer."""
    return ssl.create_default_context()


@dataclass(frozen=True)
class EgressLimits:
    """How long a download may take and how it has to flow.

    connect_s:       for each address tried: TCP and TLS together
    idle_s:          without a single byte; also the time for a whole answer header
    total_s:         for everything, redirects included
    slow_window_s:   the span over which a body has to bring min_bytes_per_s on average
    max_header_bytes: of one answer, all lines together; noticed within 4 KiB
    per_host:        connections of one rule to a host at a time; waiting for one counts into total_s
    """

    resolve_s: float = 3
    connect_s: float = 5
    idle_s: float = 10
    total_s: float = 60
    slow_window_s: float = 10
    min_bytes_per_s: int = 64 * 1024
    max_redirects: int = 3
    max_header_bytes: int = 16 * 1024
    per_host: int = 8


@dataclass(frozen=True)
class EgressPolicy:
    """What may be connected to, and how much may come back.

    max_bytes:   of one file
    allow, deny: networks that the operator admits or refuses, see `why_refused`
    hosts, deny_hosts: names that alone may be connected to, and those that may not; see `is_one_of`
    ports:       allowed beside 443, and 80 with allow_http
    proxy:       through which every connection goes
    resolve:     from a name to its addresses, called once for each connection
    trust:       whose certificates are believed
    crowd:       who is being talked to
    """

    max_bytes: int
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    hosts: tuple[str, ...] = ("*",)
    deny_hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    allow_http: bool = False
    proxy: Proxy | None = None
    limits: EgressLimits = EgressLimits()
    resolve: Resolver = resolve_name
    trust: Callable[[], ssl.SSLContext] = system_trust
    per_host_limit: PerHostLimit = field(default_factory=PerHostLimit)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(target: Target, policy: EgressPolicy) -> AsyncIterator[Streams]:
    """A connection to `target` for as long as the context is open; encrypted and verified for https.

    Raises InputError, file_download_error: the same whether the host is forbidden or does not answer.
    """
    _check_place(target, policy)
    async with policy.per_host_limit.acquire(target.host, policy.limits.per_host):
        addresses = await _checked_addresses(target, policy)
        reader, writer = await _first_connection(target, addresses, policy)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()  # a polite goodbye could be drawn out by the other side


def check_target(target: Target, policy: EgressPolicy) -> None:
    """Raise FetchError where the rule cannot allow `target`; what its name leads to shows only later."""
    _check_place(target, policy)
    if target.literal:
        _check_address(target, target.literal, policy)


def _check_place(target: Target, policy: EgressPolicy) -> None:
    _check_port(target, policy)
    if is_one_of(target.host, policy.deny_hosts) or not is_one_of(target.host, policy.hosts):
        raise unreachable(target.host, "the operator does not allow this name", is_forbidden=True)


def _check_port(target: Target, policy: EgressPolicy) -> None:
    schemes = ["https", "http"] if policy.allow_http else ["https"]
    if target.scheme not in schemes:
        raise not_fetched(
            f"{target.scheme} addresses are not allowed here",
            hint="use an https address; http has to be admitted by the operator (allow_http)",
            is_forbidden=True,
        )
    ports = [DEFAULT_PORTS[scheme] for scheme in schemes] + list(policy.ports)
    if target.port not in ports:
        raise not_fetched(
            f"port {target.port} is not allowed, only {', '.join(map(str, ports))}",
            hint="use an address without a port; others have to be admitted by the operator (fetch_ports)",
            is_forbidden=True,
        )


async def _checked_addresses(target: Target, policy: EgressPolicy) -> list[Address]:
    addresses = [target.literal] if target.literal else await _resolved(target, policy)
    for address in addresses:
        _check_address(target, address, policy)
    return [unmapped(address) for address in addresses]


def _check_address(target: Target, address: Address, policy: EgressPolicy) -> None:
    reason = why_refused(address, policy.allow, policy.deny)
    if reason is not None:
        raise unreachable(target.host, f"{address} is not allowed: {reason}", is_forbidden=True)


async def _resolved(target: Target, policy: EgressPolicy) -> list[Address]:
    try:
        async with asyncio.timeout(policy.limits.resolve_s):
            found = await policy.resolve(target.host, target.port)
    except TimeoutError:
        raise unreachable(target.host, f"not resolved within {policy.limits.resolve_s:g} s") from None
    except (OSError, UnicodeError) as error:
        raise unreachable(target.host, f"not resolved: {error}") from None
    if not found:
        raise unreachable(target.host, "it has no address")
    return list(dict.fromkeys(ip_address(text) for text in found))


async def _first_connection(target: Target, addresses: Sequence[Address], policy: EgressPolicy) -> Streams:
    reasons = []
    for address in addresses[:_MAX_ATTEMPTS]:
        try:
            async with asyncio.timeout(policy.limits.connect_s):
                return await _connect(target, address, policy)
        except ssl.SSLCertVerificationError as error:
            raise _bad_certificate(target, error) from None
        except OSError as error:  # TimeoutError is one
            reasons.append(f"{address}: {error or type(error).__name__}")
    raise unreachable(target.host, "; ".join(reasons))


async def _connect(target: Target, address: Address, policy: EgressPolicy) -> Streams:
    tls = policy.trust() if target.scheme == "https" else None
    first, port = (address, target.port) if policy.proxy is None else await _place_of(policy.proxy, policy)
    family = socket.AF_INET if first.version == 4 else socket.AF_INET6
    with ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (str(first), port))
        _check_peer(target, sock, first)
        if policy.proxy is not None:
            await open_tunnel(sock, address, target.port)
        undo.pop_all()  # from here on the stream closes it
    name = target.host if tls else None
    return await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name, limit=READ_BYTES)


async def _place_of(proxy: Proxy, policy: EgressPolicy) -> tuple[Address, int]:
    try:
        return ip_address(proxy.host), proxy.port
    except ValueError:
        found = await policy.resolve(proxy.host, proxy.port)
    if not found:
        raise OSError("the proxy has no address")
    return unmapped(ip_address(found[0])), proxy.port


def _check_peer(target: Target, sock: socket.socket, address: Address) -> None:
    """The kernel's word for where the connection leads; nothing has been sent yet."""
    peer = unmapped(ip_address(sock.getpeername()[0]))
    if peer != address:
        raise unreachable(target.host, f"connected to {peer} instead of {address}")


def _bad_certificate(target: Target, error: ssl.SSLCertVerificationError) -> InputError:
    log.warning("%s has a bad certificate: %s", target.host, error.verify_message)
    return not_fetched(
        "its certificate is not valid for this host",
        hint="check the address in a browser; a certificate authority of your own goes into SSL_CERT_FILE",
    )
