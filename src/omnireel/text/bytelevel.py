"""The printable characters that byte-level BPE uses for the 256 bytes.

Source: GPT-2 `encoder.py`, bytes_to_unicode: printable Latin-1 bytes stand for themselves, the others for
the characters from U+0100 on, in order.
"""

_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_OTHERS = [byte for byte in range(256) if byte not in set(_PRINTABLE)]

BYTE_OF_CHAR = {chr(byte): byte for byte in _PRINTABLE} | {
    chr(256 + n): byte for n, byte in enumerate(_OTHERS)
}
