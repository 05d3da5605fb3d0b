"""Which hosts may be connected to, and the limits on time and size: one policy for each deployment."""

import functools
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from omnireel.net.addresses import Network
from omnireel.net.per_host_limit import PerHostLimit
from omnireel.net.proxy_tunnel import Proxy
from omnireel.net.resolver import Lookups, Resolver, resolve_name
from omnireel.settings import Settings


@functools.cache
def system_trust() -> ssl.SSLContext:
    """A TLS context with the certificate authorities of the system or of SSL_CERT_FILE; checks host names."""
    return ssl.create_default_context()


@dataclass(frozen=True)
class EgressLimits:
    """How long a request to another host may take, and how fast its response has to arrive.

    resolve_s:       to resolve the host's name
    connect_s:       for each address that is tried: TCP and TLS together
    idle_s:          without a single byte; also the time for all response headers
    total_s:         for everything, redirects and retries included
    slow_window_s:   the period over which a body has to arrive at min_bytes_per_s on average
    max_header_bytes: all header lines of one response together; checked every 4 KiB
    per_host:        connections to one host at a time; the wait for one counts towards total_s
    max_retries:     how often a download is tried again when its connection broke or its host is busy
    retry_s:         before the first of these; twice as long before each further one
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
    max_retries: int = 2
    retry_s: float = 0.5


@dataclass(frozen=True)
class EgressPolicy:
    """Which connections are allowed, and how much may be downloaded.

    max_bytes:         largest file
    allow, deny:       networks that the operator allows or denies, see `why_refused`
    hosts, deny_hosts: the only host names that are allowed, and those that are denied; see `is_one_of`
    ports:             allowed in addition to 443, and to 80 with allow_http
    proxy:             HTTP proxy for every connection
    resolve:           from a host name to its addresses, called once for each connection
    trust:             makes the TLS context that checks certificates
    per_host_limit:    shares the connections to each host between accounts
    lookups:           shares the look-ups of names
    owner:             the account for which connections are made
    logs_failures:     whether each connection that fails gets a line in the log
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
    lookups: Lookups = field(default_factory=Lookups)
    owner: str = ""
    logs_failures: bool = True


@functools.cache
def egress_policy(settings: Settings) -> EgressPolicy:
    """The policy for every outgoing connection: downloads and webhooks.

    Cached, because the policy counts connections and look-ups: all users of the same settings share them. The copy of
    the policy for an account shares them too.
    """
    return EgressPolicy(
        max_bytes=settings.max_download_bytes,
        allow=settings.fetch_allow,
        deny=settings.fetch_deny,
        hosts=settings.fetch_hosts,
        deny_hosts=settings.fetch_deny_hosts,
        proxy=Proxy(*settings.fetch_proxy) if settings.fetch_proxy else None,
        ports=settings.fetch_ports,
        allow_http=settings.allow_http,
    )
