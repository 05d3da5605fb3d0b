"""An HTTP/1.1 client for one keep-alive connection. It adds little time of its own to what is measured."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# One measured call, and what makes a caller that repeats it.
Call = Callable[[], Awaitable[None]]
NewCaller = Callable[[], Awaitable[Call]]


@dataclass(frozen=True)
class KeepAliveConnection:
    """One connection to a port of this machine. It sends one request after another."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "KeepAliveConnection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request and return the body of the response. Raises AssertionError if the status is not 200."""
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        self.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines if line)
        if headers.get(b"transfer-encoding") == b"chunked":
            content = await self._chunks()
        else:
            content = await self.reader.readexactly(int(headers[b"content-length"]))
        assert b" 200 " in status, (status, content)
        return content

    async def _chunks(self) -> bytes:
        content = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            content += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        return content
