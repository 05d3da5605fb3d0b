"""The decoding child: a sandboxed process that parses and decodes one clip."""
