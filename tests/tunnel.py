"""A CONNECT proxy that connects every tunnel to one address. It replaces a hosts file or a name server."""

import contextlib
import socket
import socketserver
import threading


class Tunnel:
    """Listens while the context is open. url: for HTTPS_PROXY; hosts: the tunnels that were requested."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.hosts: set[str] = set()
        tunnel = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += self.request.recv(4096)
                tunnel.hosts.add(asked.split()[1].decode())
                with socket.create_connection(address) as far:
                    self.request.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                    back = threading.Thread(target=_copy, args=(far, self.request))
                    back.start()
                    _copy(self.request, far)
                    back.join()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> "Tunnel":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 18):
            sink.sendall(piece)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
