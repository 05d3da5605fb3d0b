"""Text that may come from others, made fit for a terminal."""


def printable(text: str, *, kept: str = "\n\t") -> str:
    """The text with escapes in place of control characters, which a terminal would obey, but for those to be kept."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
