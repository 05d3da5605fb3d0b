"""The operator's own proxy on the way out: a tunnel to an address that has been checked, never to a name."""

import asyncio
import socket
from dataclasses import dataclass

from omnireel.net.addresses import Address

_MAX_ANSWER = 16 * 1024


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy that knows CONNECT; host: a name or an address of the operator's, bound by no rule."""

    host: str
    port: int


async def open_tunnel(sock: socket.socket, address: Address, port: int) -> None:
    """Have the proxy at the other end of `plug` connect to `address`; what is sent next goes there.

    The proxy is told no name: one that resolved it again could be led elsewhere. Raises OSError where it
    refuses.
    Source: RFC 9110 section 9.3.6
    """
    place = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
    answer = b""
    # Nothing of the destination can be among these bytes: in TLS and in HTTP, who connects speaks first.
    while b"\r\n\r\n" not in answer:
        piece = await loop.sock_recv(sock, 4096)
        answer += piece
        if not piece or len(answer) > _MAX_ANSWER:
            raise OSError("the proxy hung up or talks without end")
    status = answer.split(b"\r\n", 1)[0].split()[1:2]
    if status != [b"200"]:
        raise OSError(f"the proxy answers {b''.join(status).decode('ascii', 'replace')} to CONNECT {place}")
