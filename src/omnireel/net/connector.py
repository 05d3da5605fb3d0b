"""The only module that opens outgoing connections.

A host name is resolved once. Every address it has must be allowed, and the connection goes to one of these
checked addresses, never to the name: a name server that changes its answer in between gains nothing. Proxies
from the environment, netrc and cookies are not used; the operator's proxy gets the checked address.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_address

from omnireel.net.addresses import Address, unmapped, why_refused
from omnireel.net.errors import FetchError, why_not_connected
from omnireel.net.policy import EgressPolicy
from omnireel.net.proxy_tunnel import Proxy, open_tunnel
from omnireel.net.urls import DEFAULT_PORTS, Target, is_one_of

READ_BYTES = 64 * 1024
_MAX_ATTEMPTS = 3
_log = logging.getLogger(__name__)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(target: Target, policy: EgressPolicy) -> AsyncIterator[Streams]:
    """A connection to `target` while the context is open; encrypted and verified for https.

    Raises FetchError; callers see the same text whether the host is forbidden or does not answer.
    """
    _check_port_and_name(target, policy)
    async with policy.per_host_limit.acquire(target.host, policy.limits.per_host, policy.owner):
        addresses = await _checked_addresses(target, policy)
        reader, writer = await _first_connection(target, addresses, policy)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()  # the other side could delay an orderly close of the connection


def check_target(target: Target, policy: EgressPolicy) -> None:
    """Raise FetchError where the policy can never allow `target`.

    Resolves no names: the addresses of a name are checked at each connection.
    """
    _check_port_and_name(target, policy)
    if target.literal:
        _check_address(target, target.literal, policy)


def _check_port_and_name(target: Target, policy: EgressPolicy) -> None:
    _check_port(target, policy)
    if is_one_of(target.host, policy.deny_hosts) or not is_one_of(target.host, policy.hosts):
        raise _unreachable(target, policy, "the operator does not allow this name", is_forbidden=True)


def _check_port(target: Target, policy: EgressPolicy) -> None:
    schemes = ["https", "http"] if policy.allow_http else ["https"]
    if target.scheme not in schemes:
        raise FetchError(
            f"{target.scheme} addresses are not allowed here",
            hint="Use an https address, or ask the operator to allow http (allow_http).",
            is_forbidden=True,
        )
    ports = [DEFAULT_PORTS[scheme] for scheme in schemes] + list(policy.ports)
    if target.port not in ports:
        raise FetchError(
            f"port {target.port} is not allowed, only {', '.join(map(str, ports))}",
            hint="Use an address without a port, or ask the operator to allow the port (fetch_ports).",
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
        raise _unreachable(target, policy, f"{address} is not allowed: {reason}", is_forbidden=True)


async def _resolved(target: Target, policy: EgressPolicy) -> list[Address]:
    try:
        async with asyncio.timeout(policy.limits.resolve_s):
            found = await policy.lookups.look_up(policy.resolve, target.host, target.port, policy.owner)
    except TimeoutError:
        raise _unreachable(target, policy, f"not resolved within {policy.limits.resolve_s:g} s") from None
    except (OSError, UnicodeError) as error:
        raise _unreachable(target, policy, why_not_connected(error)) from None
    if not found:
        raise _unreachable(target, policy, "it has no address")
    return list(dict.fromkeys(ip_address(text) for text in found))


async def _first_connection(target: Target, addresses: Sequence[Address], policy: EgressPolicy) -> Streams:
    """A connection to the first address that accepts one."""
    reasons, was_reset = [], False
    for address in addresses[:_MAX_ATTEMPTS]:
        try:
            async with asyncio.timeout(policy.limits.connect_s):
                return await _connect(target, address, policy)
        except ssl.SSLCertVerificationError as error:
            raise _bad_certificate(target, policy, error) from None
        except OSError as error:  # includes TimeoutError
            reasons.append(f"{address}: {why_not_connected(error)}")
            was_reset |= isinstance(error, ConnectionResetError)
    raise _unreachable(target, policy, "; ".join(reasons), is_temporary=was_reset)


async def _connect(target: Target, address: Address, policy: EgressPolicy) -> Streams:
    tls = policy.trust() if target.scheme == "https" else None
    peer, port = (
        (address, target.port) if policy.proxy is None else await _resolved_proxy(policy.proxy, policy)
    )
    family = socket.AF_INET if peer.version == 4 else socket.AF_INET6
    with ExitStack() as on_failure:
        sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (str(peer), port))
        _check_peer(target, policy, sock, peer)
        if policy.proxy is not None:
            await open_tunnel(sock, address, target.port)
        on_failure.pop_all()  # from here on the stream closes the socket
    name = target.host if tls else None
    return await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name, limit=READ_BYTES)


async def _resolved_proxy(proxy: Proxy, policy: EgressPolicy) -> tuple[Address, int]:
    try:
        return ip_address(proxy.host), proxy.port
    except ValueError:
        found = await policy.lookups.look_up(policy.resolve, proxy.host, proxy.port, policy.owner)
    if not found:
        raise OSError("the proxy has no address")
    return unmapped(ip_address(found[0])), proxy.port


def _check_peer(target: Target, policy: EgressPolicy, sock: socket.socket, address: Address) -> None:
    """Ask the kernel which address the socket is connected to, before anything is sent."""
    peer = unmapped(ip_address(sock.getpeername()[0]))
    if peer != address:
        raise _unreachable(target, policy, f"connected to {peer} instead of {address}")


def _bad_certificate(target: Target, policy: EgressPolicy, error: ssl.SSLCertVerificationError) -> FetchError:
    if policy.logs_failures:
        _log.warning("%s has an invalid certificate: %s", target.host, error.verify_message)
    return FetchError(
        "its certificate is not valid for this host",
        hint="Check the address in a browser. A private certificate authority goes into SSL_CERT_FILE.",
    )


def _unreachable(
    target: Target,
    policy: EgressPolicy,
    reason: str,
    *,
    is_forbidden: bool = False,
    is_temporary: bool = False,
) -> FetchError:
    """The same error for a host that is forbidden and one that does not answer; logs the real reason."""
    if policy.logs_failures:
        _log.warning("No connection to %s: %s", target.host, reason)
    return FetchError(
        "its host cannot be reached",
        hint="Check that the address works from the public internet. "
        "Only the operator can allow other networks (fetch_allow).",
        reason=reason,
        is_forbidden=is_forbidden,
        is_temporary=is_temporary,
    )
