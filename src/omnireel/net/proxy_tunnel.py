"""The operator's HTTP proxy: a CONNECT tunnel to an IP address that has been checked, never to a host name."""

import asyncio
import socket
from dataclasses import dataclass

from omnireel.net.addresses import Address

_MAX_RESPONSE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy that supports CONNECT; the address policy does not apply to the proxy's own host."""

    host: str
    port: int


async def open_tunnel(sock: socket.socket, address: Address, port: int) -> None:
    """Ask the proxy that `sock` is connected to for a tunnel to `address`; later bytes go through the tunnel.

    The proxy gets no host name, because it would resolve the name again and could reach another address.
    Raises OSError where the proxy refuses.
    Source: RFC 9110 section 9.3.6
    """
    authority = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    response = b""
    # No byte of the destination can be lost here: in TLS and in HTTP the client sends first.
    while b"\r\n\r\n" not in response:
        data = await loop.sock_recv(sock, 4096)
        response += data
        if not data or len(response) > _MAX_RESPONSE_BYTES:
            raise OSError("the proxy closed the connection or its response is too long")
    status = response.split(b"\r\n", 1)[0].split()[1:2]
    if status != [b"200"]:
        shown = b"".join(status).decode("ascii", "replace")
        raise OSError(f"the proxy answers {shown} to CONNECT {authority}")
