"""Which IP addresses may be connected to on behalf of a caller.

The tables are our own because `ipaddress.is_global` changed between Python versions and allows some forms that
lead back into a private network. For IPv4 they list what is refused, after IANA's registry of special-purpose
addresses (RFC 6890). For IPv6 they list what is allowed, since most of it is not assigned yet.
Pure functions of `ipaddress` objects: nothing here opens a connection or resolves a name.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SPECIAL_IPV4: Mapping[IPv4Network, str] = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by carriers",
    IPv4Network("127.0.0.0/8"): "loopback",
    # A public address by its number, but in a virtual machine of Azure it is the host of that machine.
    IPv4Network("168.63.129.16/32"): "host of a cloud's virtual machine",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "protocol assignments",
    IPv4Network("192.0.2.0/24"): "documentation",
    IPv4Network("192.31.196.0/24"): "AS112",
    IPv4Network("192.52.193.0/24"): "multicast relay",
    IPv4Network("192.88.99.0/24"): "6to4 relay",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("192.175.48.0/24"): "AS112",
    IPv4Network("198.18.0.0/15"): "benchmarking",
    IPv4Network("198.51.100.0/24"): "documentation",
    IPv4Network("203.0.113.0/24"): "documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved or broadcast",
}

GLOBAL_IPV6 = IPv6Network("2000::/3")
SPECIAL_IPV6: Mapping[IPv6Network, str] = {
    IPv6Network("2001::/23"): "protocol assignments, Teredo",
    IPv6Network("2001:db8::/32"): "documentation",
    IPv6Network("2002::/16"): "6to4",
    IPv6Network("3fff::/20"): "documentation",
}


def unmapped(address: Address) -> Address:
    """The IPv4 address in an IPv4-mapped one (::ffff:a.b.c.d); any other address unchanged."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def why_refused(address: Address, allow: Sequence[Network] = (), deny: Sequence[Network] = ()) -> str | None:
    """Why `address` may not be connected to, in a few words for the log; None when it may.

    allow: networks that the operator allows although they are special. No translation is undone: allowing a
           prefix such as 64:ff9b::/96 allows every IPv4 address behind it.
    deny:  networks that the operator denies; they take precedence over everything else
    """
    plain = unmapped(address)
    if any(plain in network for network in deny):
        return "denied by the operator"
    if any(plain in network for network in allow):
        return None
    if isinstance(plain, IPv4Address):
        return _first_match(plain, SPECIAL_IPV4)
    if plain not in GLOBAL_IPV6:
        return "not a global IPv6 address"
    return _first_match(plain, SPECIAL_IPV6)


def _first_match(
    address: Address, table: Mapping[IPv4Network, str] | Mapping[IPv6Network, str]
) -> str | None:
    return next((name for network, name in table.items() if address in network), None)
