"""ASGI middleware: canonical paths, authentication, log lines."""
