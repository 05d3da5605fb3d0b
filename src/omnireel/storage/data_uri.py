"""Reads data: URIs (RFC 2397) as people and browsers write them.

Folded lines, blanks, percent-encoding, the URL-safe alphabet and missing padding are taken, and so is a header with
unquoted commas, which browsers write for recordings (`codecs=vp9,opus`). The media type is not looked at: the
decoder finds out what the bytes are.
"""

import binascii
import re

from omnireel.errors import InputError

_SCHEME = re.compile(r"\s*data:", re.ASCII | re.IGNORECASE)
_MAX_HEADER = 1024  # characters up to the data
_BASE64_MARK = re.compile(r"(?:;|%3B)\s*base64\s*(?:,|%2C)", re.ASCII | re.IGNORECASE)
_PLAIN_HEADER = re.compile(r'(?:"[^"]*"|[^",])*,')
_FOLDS = b"\t\n\r"
_BLANKS = b" \t\n\r\f\v"
_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
_LONE_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PIECE_BYTES = 1024 * 1024


def is_data_uri(reference: str) -> bool:
    """Whether the reference holds the media itself."""
    return _SCHEME.match(reference) is not None


def read_data_uri(uri: str, max_bytes: int) -> bytes:
    """The bytes in a data: URI, base64 or percent-encoded. Raises InputError: invalid_data_uri, file_too_large."""
    begin, is_base64 = _payload(uri)
    content = _payload_bytes(uri, begin)
    if is_base64:
        return _decode_base64(_percent_decoded(content), max_bytes)
    content = _percent_decoded(content.strip(_BLANKS).translate(None, _FOLDS))
    if len(content) > max_bytes:
        raise file_too_large(max_bytes, len(content))
    return content


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


def _payload_bytes(uri: str, begin: int) -> bytes:
    """The data as it is written, without a fragment (`#t=5`)."""
    fragment = uri.find("#", begin)
    text = uri[begin:] if fragment < 0 else uri[begin:fragment]
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise _invalid("its data is not text") from None


def _percent_decoded(text: bytes) -> bytes:
    """`text` with %41 as A; in pieces, because some steps need three times the memory of their input."""
    if b"%" not in text:
        return text
    if _LONE_PERCENT.search(text):
        raise _invalid("a % in its data is not followed by two hexadecimal digits")
    decoded, begin = bytearray(), 0
    while begin < len(text):
        end = begin + _PIECE_BYTES
        escape = text.rfind(b"%", end - 2, end)
        end = escape if escape >= 0 else end
        decoded += _decode_piece(text[begin:end])
        begin = end
    return bytes(decoded)


def _decode_piece(text: bytes) -> bytes:
    # Quoted-printable is the same encoding with another sign. Its decoder is in C; `urllib.parse.unquote_to_bytes`
    # makes an object of each escape, which takes seconds and a gigabyte for a large clip.
    return binascii.a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))


def _decode_base64(text: bytes, max_bytes: int) -> bytes:
    digits = text.translate(_TO_STANDARD_ALPHABET, _BLANKS).rstrip(b"=")
    num_bytes = len(digits) * 3 // 4
    if num_bytes > max_bytes:
        raise file_too_large(max_bytes, num_bytes)
    try:
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4), strict_mode=True)
    except ValueError:
        raise _invalid("its data is not base64") from None


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
