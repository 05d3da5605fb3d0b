"""The server process: sockets, TLS, connections."""
