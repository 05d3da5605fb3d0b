"""Addresses that must not be reached, in spellings and redirects that have got past the checks of other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

PUBLIC_IPV4, PUBLIC_IPV6, PUBLIC_NAME = "93.184.216.34", "2606:2800:220:1::1", "public.test"
SILENT_IPV4 = "93.184.216.200"  # public, but unreachable
ADMITTED_IPV4 = "10.9.0.1"  # private, but allowed by the operator

FORBIDDEN_IPV4 = (
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.5", "172.16.0.9", "192.168.1.1", "169.254.169.254", "169.254.170.2",
    "100.64.0.1", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.5", "240.0.0.1",
)  # fmt: skip
FORBIDDEN_IPV6 = (
    "::1", "::", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::1", "2001:db8::1", "3fff::1", "5f00::1", "fd00:ec2::254", "fc00::1",
    "fec0::1", "fe80::1", "100::1",
)  # fmt: skip
# One address of each kind, which is written in every spelling.
_SPELLED = ("127.0.0.1", "169.254.169.254", "10.0.0.5", "0.0.0.0")
_STATUSES = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Vector:
    """An address to send.

    is_silent: the address is well-formed, and the caller must not learn why it is not fetched
    """

    url: str
    is_silent: bool = False


def names() -> dict[str, list[list[str]]]:
    """The answers of the name server: name → the addresses for each lookup; the last answer is repeated."""
    zone: dict[str, list[list[str]]] = {
        PUBLIC_NAME: [[PUBLIC_IPV4, PUBLIC_IPV6]],
        "silent.test": [[SILENT_IPV4]],
    }
    for number, address in enumerate((*FORBIDDEN_IPV4, *FORBIDDEN_IPV6)):
        zone[f"bad{number}.test"] = [[address]]
        zone[f"mixed{number}.test"] = [[PUBLIC_IPV4, address]]
    zone["many.test"] = [[f"93.184.216.{n}" for n in range(30, 60)] + ["10.0.0.5"]]
    zone["turns.test"] = [[PUBLIC_IPV4], ["10.0.0.5"]]
    zone["turns-v6.test"] = [[PUBLIC_IPV4], ["::1"]]
    zone["admitted.test"] = [[ADMITTED_IPV4]]
    return zone


def vectors() -> list[Vector]:
    """All vectors, without duplicates."""
    found = [*_literals(), *_spellings(), *_named(), *_two_readings(), *_schemes_and_ports(), *_redirects()]
    return list({vector.url: vector for vector in found}.values())


def _literals() -> Iterator[Vector]:
    for address in FORBIDDEN_IPV4:
        yield Vector(f"https://{address}/clip.mp4", is_silent=True)
        yield Vector(f"https://{address}:443/latest/meta-data?x=1#y", is_silent=True)
    for address in FORBIDDEN_IPV6:
        whole = IPv6Address(address)
        for text in (address, whole.exploded, whole.exploded.upper()):
            yield Vector(f"https://[{text}]/clip.mp4", is_silent=True)
        yield Vector(f"https://[{address}%25lo]/")
        yield Vector(f"https://{address}/")


def _spellings() -> Iterator[Vector]:
    for address in _SPELLED:
        number, octets = int(IPv4Address(address)), address.split(".")
        high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
        for host in (f"[::ffff:{address}]", f"[::ffff:{high}:{low}]", f"[::{high}:{low}]", f"[64:ff9b::{high}:{low}]",
                     f"[2002:{high}:{low}::]", f"[0:0:0:0:0:ffff:{address}]", f"{address}."):  # fmt: skip
            yield Vector(f"https://{host}/", is_silent=True)
        for host in (
            str(number), hex(number), hex(number).upper(), f"0{number:o}", f"{number}.", ".".join(hex(int(o)) for o in octets),
            ".".join(f"0{int(o):o}" for o in octets), ".".join(f"{int(o):03}" for o in octets),
            f"{octets[0]}.{number & 0xFFFFFF}", f"{octets[0]}.{octets[1]}.{number & 0xFFFF}", f"{octets[0]}.{octets[3]}",
            f"{octets[0]}.0x{number & 0xFFFFFF:x}", address.replace(".", "%2e"), address.replace(".", "%2E"),
            address.replace(".", ".."), f".{address}", f"{address}..", f"[{address}]", f"[{number}]",
            f"{address}%00.{PUBLIC_NAME}", f"{number + (1 << 32)}", f"-{number}", f"+{number}",
        ):  # fmt: skip
            yield Vector(f"https://{host}/")
        # UTS 46 maps these to the plain form, which is then checked.
        for host in (_shifted(address, 0xFF10), _shifted(address, 0x1D7CE), address.replace(".", "。")):
            yield Vector(f"https://{host}/", is_silent=True)
        for host in (_circled(address), _shifted(address, 0x660), address.replace(".", "․")):
            yield Vector(f"https://{host}/")


def _shifted(address: str, zero: int) -> str:
    return "".join(chr(zero + int(char)) if char.isdigit() else char for char in address)


def _circled(address: str) -> str:
    return "".join(
        chr(0x245F + int(char)) if char in "123456789" else "⓪" if char == "0" else char for char in address
    )


def _named() -> Iterator[Vector]:
    for name in names():
        if name.startswith(("bad", "mixed", "many")):
            yield Vector(f"https://{name}/clip.mp4", is_silent=True)
    for name in ("nowhere.test", "silent.test", "localhost", "localhost.", "LOCALHOST", "metadata", "metadata.google.internal",
                 "127.0.0.1.nip.test", "bad0.test.", "BAD0.TEST", "ｂａｄ0.test"):  # fmt: skip
        yield Vector(f"https://{name}/clip.mp4", is_silent=True)


def _two_readings() -> Iterator[Vector]:
    """Text that two parsers could read differently."""
    for bad in ("127.0.0.1", "169.254.169.254", "bad0.test"):
        for authority in (
            f"{PUBLIC_NAME}@{bad}", f"{PUBLIC_NAME}:443@{bad}", f"user:pass@{bad}", f"{bad}\\@{PUBLIC_NAME}", f"{bad}\\.{PUBLIC_NAME}",
            f"{PUBLIC_NAME}\\@{bad}", f"{bad}%2f@{PUBLIC_NAME}", f"{bad}\t", f"\t{bad}", f"{bad}\r\nHost: {PUBLIC_NAME}",
            f"{bad}\n", f"{bad} {PUBLIC_NAME}", f"{bad}\x00.{PUBLIC_NAME}", f"{bad}\x7f", f"{bad},{PUBLIC_NAME}", f"{bad};{PUBLIC_NAME}",
            f"{bad}%0d%0a", f"{bad}%09", f"{bad}%20", f"{bad}:443:443", f"{bad}:", f"{bad}:４４３", f"{bad}:+443",
            f"{bad}: 443", f"[{bad}", f"{bad}]", f"{bad}&@{PUBLIC_NAME}", f"@{bad}", f"{bad}@", f"{bad}\u2028", f"{bad}\ufeff", f"{bad}\u202e",
        ):  # fmt: skip
            yield Vector(f"https://{authority}/clip.mp4")
        for url in (f"https:\\\\{bad}\\", f"https:/{bad}/", f"https:{bad}/", f"https:///{bad}/", f"//{bad}/", f"https:// {bad}/",
                    f"hTTps:/\\{bad}/", f"https://{PUBLIC_NAME}#@{bad}/\x0b@", f"https://?{bad}/", f"https://#{bad}/",
                    f"https://{PUBLIC_NAME} @{bad}/", f"https:\n//{bad}/", f"https://{bad} /", f"ht\ttps://{bad}/"):  # fmt: skip
            yield Vector(url)
        # Blanks around an address and after its host do not change where it leads.
        for url in (f" https://{bad}/", f"https://{bad}/ ", f"\r\n\thttps://{bad}\n", f"https://{bad}/a b\r\nHost: {PUBLIC_NAME}",
                    f"https://{bad}/?x\t@{PUBLIC_NAME}/", f"https://{bad}/#\n@{PUBLIC_NAME}/"):  # fmt: skip
            yield Vector(url, is_silent=True)
        yield Vector(f"https://{bad}#@{PUBLIC_NAME}/", is_silent=True)
        yield Vector(f"https://{bad}?@{PUBLIC_NAME}/", is_silent=True)


def _schemes_and_ports() -> Iterator[Vector]:
    for bad in ("127.0.0.1", "169.254.169.254", PUBLIC_NAME):
        for scheme in (
            "http",
            "ftp",
            "gopher",
            "dict",
            "ldap",
            "tftp",
            "ws",
            "wss",
            "jar:https",
            "view-source:https",
            "httpss",
            "unix",
        ):
            yield Vector(f"{scheme}://{bad}/")
        for port in (0, 1, 22, 80, 6379, 8080, 8443, 9200, 65535, 65536, 65979, "0443", "443x", "-443"):
            if port != "0443" or bad != PUBLIC_NAME:  # a port with a leading zero is that port
                yield Vector(f"https://{bad}:{port}/")
    yield from (
        Vector(url)
        for url in (
            "file:///etc/passwd",
            "file://127.0.0.1/etc/passwd",
            "/etc/passwd",
            "netdoc:///etc/passwd",
        )
    )


def _redirects() -> Iterator[Vector]:
    """Redirects from the public server to other addresses; the webhook sender follows none of them."""
    targets = [
        "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/", "https://bad0.test/", "https://mixed3.test/",
        "https://2130706433/", "https://[::ffff:7f00:1]/", "//127.0.0.1/", "//bad0.test/", "https:\\\\127.0.0.1/", "http://public.test/",
        "http://127.0.0.1/", "https://public.test:8443/", "file:///etc/passwd", "\thttps://127.0.0.1/", "https://x@127.0.0.1/",
        "https://127.0.0.1/a b", " https://127.0.0.1/", "https:// 127.0.0.1/", "//127.0.0.1 /",
    ]  # fmt: skip
    for status in _STATUSES:
        for target in targets:
            yield Vector(redirect(target, status))
    yield Vector(redirect(redirect("https://10.0.0.5/")))
    yield Vector(redirect(redirect(redirect("https://10.0.0.5/"))))
    yield Vector(redirect("https://turns.test/", host="turns.test"))
    yield Vector(redirect("https://turns-v6.test/", host="turns-v6.test"))


def redirect(target: str, status: int = 302, host: str = PUBLIC_NAME) -> str:
    """An address of the public server that redirects to `target`."""
    return f"https://{host}/redirect/{status}/{quote(target, safe='')}"
