"""Reads data: URIs (RFC 2397) as people and browsers write them.

Folded lines, blanks, percent-encoding, the URL-safe alphabet and missing padding are taken, and so is a header with
unquoted commas, which browsers write for recordings (`codecs=vp9,opus`). The media type is not looked at: the
decoder finds out what the bytes are.
"""

import binascii
import re
from collections.abc import Iterable, Iterator

from omnireel.errors import InputError

# Without a limit, a text of megabytes of blanks would take long.
_SCHEME = re.compile(r"\s{0,8192}data:", re.ASCII | re.IGNORECASE)
_MAX_HEADER = 1024  # characters up to the data
_BASE64_MARK = re.compile(r"(?:;|%3B)\s*base64\s*(?:,|%2C)", re.ASCII | re.IGNORECASE)
_PLAIN_HEADER = re.compile(r'(?:"[^"]*"|[^",])*,')
_FOLDS = b"\t\n\r"
_BLANKS = " \t\n\r\f\v"
_BLANK_BYTES = _BLANKS.encode()
_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
_LONE_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PIECE = 512 * 1024  # characters that are decoded at a time
_NOT_BASE64 = "its data is not base64"


def is_data_uri(reference: str) -> bool:
    """Whether the reference holds the media itself."""
    return _SCHEME.match(reference) is not None


def read_data_uri(uri: str, max_bytes: int) -> bytes:
    """The bytes in a data: URI, base64 or percent-encoded. Raises InputError: invalid_data_uri, file_too_large."""
    return b"".join(data_uri_pieces(uri, max_bytes))


def data_uri_pieces(uri: str, max_bytes: int) -> Iterator[bytes]:
    """The same bytes in pieces of at most a megabyte, so that a large clip is not in memory again and again.

    Raises the same errors, which may come after some pieces.
    """
    begin, is_base64 = _payload(uri)
    fragment = uri.find("#", begin)
    end = len(uri) if fragment < 0 else fragment
    if is_base64:
        pieces = _base64_decoded(_percent_decoded(_encoded(uri, begin, end)))
    else:
        begin, end = _without_blanks(uri, begin, end)
        pieces = _percent_decoded(piece.translate(None, _FOLDS) for piece in _encoded(uri, begin, end))
    num_bytes = 0
    for piece in pieces:
        num_bytes += len(piece)
        if num_bytes <= max_bytes:
            yield piece
    if num_bytes > max_bytes:
        raise file_too_large(max_bytes, num_bytes)


def _payload(uri: str) -> tuple[int, bool]:
    """Where the data begins, and whether it is base64.

    The mark `;base64,` counts before the first comma, since media types have commas: `codecs=vp9,opus;base64,`.
    """
    scheme = _SCHEME.match(uri)
    begin = scheme.end() if scheme else 0
    marks = list(_BASE64_MARK.finditer(uri, begin, begin + _MAX_HEADER))
    if marks:
        return marks[-1].end(), True
    header = _PLAIN_HEADER.match(uri, begin, begin + _MAX_HEADER)
    if header is None:
        raise _invalid("it has no comma before its data")
    return header.end(), False


def _without_blanks(uri: str, begin: int, end: int) -> tuple[int, int]:
    """Where the data begins and ends, without the blanks around it."""
    while begin < end and not (piece := uri[begin : min(end, begin + _PIECE)].lstrip(_BLANKS)):
        begin += _PIECE
    if begin >= end:
        return end, end
    begin = min(end, begin + _PIECE) - len(piece)
    while not (piece := uri[max(begin, end - _PIECE) : end].rstrip(_BLANKS)):
        end -= _PIECE
    return begin, max(begin, end - _PIECE) + len(piece)


def _encoded(uri: str, begin: int, end: int) -> Iterator[bytes]:
    try:
        for at in range(begin, end, _PIECE):
            yield uri[at : min(end, at + _PIECE)].encode("utf-8")
    except UnicodeEncodeError:
        raise _invalid("its data is not text") from None


def _percent_decoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The text with %41 as A. An escape may be divided between two pieces."""
    cut = b""
    for piece in pieces:
        text = cut + piece
        escape = text.rfind(b"%", max(0, len(text) - 2))
        cut = text[escape:] if escape >= 0 else b""
        yield _decode_escapes(text[:escape] if escape >= 0 else text)
    yield _decode_escapes(cut)


def _decode_escapes(text: bytes) -> bytes:
    if b"%" not in text:
        return text
    if _LONE_PERCENT.search(text):
        raise _invalid("a % in its data is not followed by two hexadecimal digits")
    # Quoted-printable is the same encoding with another sign. Its decoder is in C; `urllib.parse.unquote_to_bytes`
    # makes an object of each escape, which takes seconds and a gigabyte for a large clip.
    return binascii.a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))


def _base64_decoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    digits, is_padded = b"", False
    for piece in pieces:
        new, padding, rest = piece.translate(_TO_STANDARD_ALPHABET, _BLANK_BYTES).partition(b"=")
        if rest.strip(b"=") or (is_padded and new):
            raise _invalid(_NOT_BASE64)
        is_padded = is_padded or bool(padding)
        digits += new
        num_whole = len(digits) // 4 * 4
        yield _decode_digits(digits[:num_whole])
        digits = digits[num_whole:]
    yield _decode_digits(digits + b"=" * (-len(digits) % 4))


def _decode_digits(digits: bytes) -> bytes:
    try:
        return binascii.a2b_base64(digits, strict_mode=True)
    except ValueError:
        raise _invalid(_NOT_BASE64) from None


def _invalid(why: str) -> InputError:
    return InputError(
        f"Invalid data: URI: {why}.",
        kind="invalid_data_uri",
        about="media",
        hint="Write data:video/mp4;base64, and then the file in base64.",
    )


def file_too_large(max_bytes: int, num_bytes: int | None) -> InputError:
    """The error for a clip beyond a limit; num_bytes: the size of the file, where it is known."""
    size = "larger than allowed" if num_bytes is None else f"{num_bytes} bytes"
    provided = {} if num_bytes is None else {"provided_size": num_bytes}
    return InputError(
        f"The video is {size}, limit {max_bytes} bytes.",
        kind="file_too_large",
        about="media",
        ctx={"max_size": max_bytes} | provided,
        hint="Send a shorter clip or one with a lower bit rate.",
    )
