"""Which IP addresses may be connected to: known cases, and all others against an independent implementation."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omnireel.net.addresses import GLOBAL_IPV6, SPECIAL_IPV4, SPECIAL_IPV6, unmapped, why_refused

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.5",
    "100.64.0.1",
    "100.100.100.200",  # metadata of a cloud
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # a cloud's host, at an address that looks public
    "169.254.169.254",  # metadata of most clouds
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",  # metadata of a cloud
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",  # Teredo
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]

ALLOWED = [
    "1.0.0.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7:ffff::1",
    "2003::1",
    "2606:2800:220:1::1",
    "3ffe:ffff::1",
    "3fff:1000::1",
]


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_is_not_public_is_refused_with_a_reason(text):
    assert why_refused(ip_address(text))


@pytest.mark.parametrize("text", ALLOWED)
def test_a_public_address_next_to_a_special_network_is_allowed(text):
    assert why_refused(ip_address(text)) is None


def is_public_ipv4(number):
    """The same rules, written as comparisons of the four bytes."""
    a, b, c, d = number.to_bytes(4)
    if a in (0, 10, 127) or a >= 224:
        return False
    if a == 192:
        special = (b, c) in {(0, 0), (0, 2), (31, 196), (52, 193), (88, 99), (175, 48)} or b == 168
    else:
        special = (
            (a == 100 and b & 0xC0 == 64)
            or (a == 169 and b == 254)
            or (a == 172 and b & 0xF0 == 16)
            or (a == 198 and (b in (18, 19) or (b, c) == (51, 100)))
            or (a, b, c) == (203, 0, 113)
            or (a, b, c, d) == (168, 63, 129, 16)
        )
    return not special


def is_public_ipv6(number):
    """The same rules, written as comparisons of the first 32 bits."""
    if number >> 32 == 0xFFFF:
        return is_public_ipv4(number & 0xFFFFFFFF)
    first, second = number >> 112, number >> 96 & 0xFFFF
    is_special = (
        (first == 0x2001 and (second < 0x0200 or second == 0x0DB8))
        or first == 0x2002
        or (first == 0x3FFF and second < 0x1000)
    )
    return 0x2000 <= first < 0x4000 and not is_special


def edges(networks):
    """First and last address of each network, and their neighbours outside."""
    for network in networks:
        low, high = int(network[0]), int(network[-1])
        yield from (number for number in (low - 1, low, high, high + 1) if number >= 0)


IPV4 = st.integers(0, 2**32 - 1) | st.sampled_from([n for n in edges(SPECIAL_IPV4) if n < 2**32])
IPV6 = (
    st.integers(0, 2**128 - 1)
    | st.integers(0x2000 << 112, (0x4000 << 112) - 1)
    | IPV4.map(lambda number: 0xFFFF << 32 | number)
    | st.sampled_from([*edges(SPECIAL_IPV6), *edges([GLOBAL_IPV6])])
)


@given(IPV4)
def test_the_ipv4_table_agrees_with_comparisons_of_bytes(number):
    assert (why_refused(IPv4Address(number)) is None) == is_public_ipv4(number)


@given(IPV6)
@example(0x64_FF9B << 96 | 0x7F00_0001)
def test_the_ipv6_tables_agree_with_comparisons_of_bits(number):
    assert (why_refused(IPv6Address(number)) is None) == is_public_ipv6(number)


@given(IPV4)
def test_a_mapped_address_is_treated_like_the_ipv4_address_in_it(number):
    mapped = IPv6Address(0xFFFF << 32 | number)
    assert unmapped(mapped) == IPv4Address(number)
    assert why_refused(mapped) == why_refused(IPv4Address(number))


@given(IPV4.map(IPv4Address) | IPV6.map(IPv6Address))
def test_the_operator_can_allow_and_deny_and_deny_takes_precedence(address):
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert why_refused(address, allow=everything) is None
    assert why_refused(address, deny=everything)
    assert why_refused(address, allow=everything, deny=everything)


def test_an_allowed_network_also_covers_the_mapped_form():
    network = (ip_network("10.1.0.0/16"),)
    assert why_refused(ip_address("::ffff:10.1.2.3"), allow=network) is None
    assert why_refused(ip_address("::ffff:10.2.2.3"), allow=network)
    assert why_refused(ip_address("::ffff:8.8.8.8"), deny=(ip_network("8.8.8.8/32"),))
