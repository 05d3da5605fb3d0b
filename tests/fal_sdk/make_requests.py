"""Makes the requests that are sent to an application of fal's SDK and to ours: `python tests/fal_sdk/make_requests.py`.

Each line of requests.jsonl is one request, see sent.py. `tag` names a difference that docs/clients.md lists.
"""

import base64
import codecs
import json
from collections.abc import Iterator
from typing import Any

from input_model import VideoInput
from pydantic.fields import FieldInfo
from sent import MARK, REQUESTS, Request

# The bytes are no clip. No request is run, so nothing reads them.
CLIP = "data:video/mp4;base64,AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t"
ASKED = {"prompt": "What moves?", "video_url": CLIP}
# What a field needs beside it.
BESIDE = {
    "reasoning_budget": {"reasoning_mode": "think"},
    "grace_period": {"reasoning_mode": "think", "reasoning_budget": 100},
}
ANY = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "0.0",
    "1.0",
    "0.5",
    '""',
    '" "',
    '"text"',
    "[]",
    "{}",
    '["1"]',
]
NUMBERS = [
    '"0"',
    '"1"',
    '"1.0"',
    '"0.5"',
    '" 1 "',
    '"1\\n"',
    '"+1"',
    '"-1"',
    '"1e0"',
    '"1_0"',
    '"0x1"',
    '"१"',
]
NUMBERS += [
    "1e0",
    "5E-1",
    "1.00000000000000001",
    '"nan"',
    '"inf"',
    '"-inf"',
    '"true"',
    '"1,5"',
    '".5"',
    "-0.0",
]
WORDS = [
    "true", "false", "True", "FALSE", "yes", "no", "on", "off", "y", "n", "t", "f", "1", "0", "2", " true"
]  # fmt: skip
TEXTS = ['"a\\nb"', '"\\u00e9\\ud83d\\ude00"', '"null"', '"\\u200b"', '"\\t"']
VIDEOS = {
    "blanks around": f" \n{CLIP}\t ",
    "blanks around an address": "\n https://example.com/clip.mp4 \n",
    "blank after the comma": CLIP.replace(",", ", "),
    "folded lines": CLIP.replace("AAAA", "AAAA\r\n "),
    "line end in an address": "https://example.com/a\n/clip.mp4",
    "blank in an address": "https://example.com/my clip.mp4",
    "percent-encoded": CLIP.replace("/", "%2F").replace("base64,AA", "base64,%41%41"),
    "percent-encoded blank": "https://example.com/my%20clip.mp4",
    "percent-encoded mark": CLIP.replace(";base64,", "%3Bbase64%2C"),
    "scheme in capitals": CLIP.replace("data:", "DATA:"),
    "https in capitals": "HTTPS://EXAMPLE.COM/Clip.MP4",
    "text/plain": CLIP.replace("video/mp4", "text/plain"),
    "image/png": CLIP.replace("video/mp4", "image/png"),
    "application/octet-stream": CLIP.replace("video/mp4", "application/octet-stream"),
    "no media type": CLIP.replace("video/mp4", ""),
    "unknown media type": CLIP.replace("video/mp4", "x-a/b.c+d"),
    "codecs with a comma": CLIP.replace("video/mp4", "video/webm;codecs=vp9,opus"),
    "quoted parameter": CLIP.replace("video/mp4", 'video/mp4;name="a,b"'),
    "no padding": "data:video/mp4;base64,AAAAGA",
    "padding": "data:video/mp4;base64,AAAAGA==",
    "URL-safe alphabet": "data:video/mp4;base64,-_-_",
    "not base64": "data:video/mp4,%00%00plain",
    "no bytes": "data:video/mp4;base64,",
    "with a fragment": CLIP + "#t=5",
    "address of 2,049 characters": "https://example.com/".ljust(2049, "a"),
    "address of 8,000 characters": "https://example.com/?".ljust(8000, "q"),
    "signed address": "https://b.s3.amazonaws.com/a.mp4?X-Amz-Credential=A%2F20260101&X-Amz-Signature=0f#x",
    "port and path": "https://example.com:8443/a/../b/clip.mp4",
    "host in another script": "https://bücher.example/clip.mp4",
    "no path": "https://example.com",
    "path in another script": "https://example.com/видео.mp4",
    "brackets and pipe": "https://example.com/a[1]|b.mp4",
}
# These are taken when they are sent, and found to be no address when the job runs.
NO_ADDRESS = {
    "no scheme": "example.com/clip.mp4",
    "path": "/etc/passwd",
    "file address": "file:///etc/passwd",
    "ftp address": "ftp://example.com/clip.mp4",
    "private address": "https://127.0.0.1/clip.mp4",
    "user name in an address": "https://user:word@example.com/clip.mp4",
    "address beyond 8,192 characters": "https://example.com/".ljust(8193, "a"),
}
NO_DATA = {
    "data without a comma": "data:video/mp4;base64",
    "data that is not base64": "data:video/mp4;base64,***",
    "data of one digit": "data:video/mp4;base64,A",
    "data with a lone percent sign": "data:video/mp4,%zz",
}
CONTENT_TYPES = [
    "application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json", "text/plain", "text/json",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/msgpack",
    "application/octet-stream", "json", "*/*", "", None,
]  # fmt: skip


def main() -> None:
    """Write the file."""
    lines = [json.dumps(request) for request in all_requests()]
    REQUESTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(len(lines), "requests")


def all_requests() -> Iterator[Request]:
    """Every request; names are unique."""
    for name, field in VideoInput.model_fields.items():
        yield from field_requests(name, field)
    yield from video_requests()
    yield from combined_requests()
    yield from body_requests()
    yield from content_type_requests()


def field_requests(name: str, field: FieldInfo) -> Iterator[Request]:
    """One field with every value that a caller may write for it, and the others as usual."""
    kind = kind_of(field)
    values = [*ANY, *values_of(kind), *range_values(field, kind)]
    for value in dict.fromkeys(values):
        rest = {key: inner for key, inner in (ASKED | BESIDE.get(name, {})).items() if key != name}
        is_null = value == "null" and not field.is_required()
        yield plain(f"{name}: {value}", with_field(rest, name, value), "null" if is_null else None)
    if field.is_required():
        yield plain(f"no {name}", json.dumps({key: value for key, value in ASKED.items() if key != name}))


def kind_of(field: FieldInfo) -> str:
    """text, enum, boolean, integer or number."""
    names = {bool: "boolean", int: "integer", float: "number", str: "text"}
    inner = [kind for kind in getattr(field.annotation, "__args__", (field.annotation,)) if kind in names]
    return names[inner[0]] if inner else "enum"


def values_of(kind: str) -> list[str]:
    """JSON texts that a field of this kind may be sent with."""
    match kind:
        case "boolean":
            return [f'"{word}"' for word in WORDS] + ["2", "-0.0"]
        case "integer" | "number":
            return NUMBERS
        case "enum":
            return ['"think"', '"no_think"', '"Think"', '" think"', '"thinking"']
    return TEXTS


def range_values(field: FieldInfo, kind: str) -> Iterator[str]:
    """The ends of the field's range and values beyond them, as numbers and as text."""
    ends = [
        getattr(limit, name)
        for limit in field.metadata
        for name in ("ge", "le", "lt")
        if hasattr(limit, name)
    ]
    for end in ends:
        beyond = [end - 1, end, end + 1] if kind == "integer" else [end - 0.01, end, end + 0.01]
        for value in beyond:
            text = json.dumps(value)
            yield from (text, f'"{text}"')
            if kind == "integer" and abs(value) < 2**50:
                yield from (f"{text}.0", f'"{text}.0"', f"{text}.5")
    if ends:
        yield from ("1e300", "-1e300", "9" * 40, f'"{"9" * 40}"', f'"{"9" * 5000}"')


def video_requests() -> Iterator[Request]:
    """Spellings of the video's address and of data: URIs."""
    for tag, videos in ((None, VIDEOS), ("no address", NO_ADDRESS), ("not data", NO_DATA)):
        for name, video in videos.items():
            yield plain(f"video: {name}", json.dumps(ASKED | {"video_url": video}), tag)


def combined_requests() -> Iterator[Request]:
    """Several fields together, and fields that depend on each other."""
    usual = {"reasoning_mode": "think", "max_tokens": 64, "temperature": 0.2, "top_p": 0.5}
    ours = {"seed": 7, "fps": 1.5, "max_frames": 8, "start_s": 0.5, "end_s": 2, "video_pruning_rate": 0.5}
    every = ASKED | usual | ours | {"use_audio": False, "reasoning_budget": 10, "grace_period": 5}
    yield plain("all fields", json.dumps(every))
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in every.items()}
    yield plain("all fields as text", json.dumps(texts))
    yield plain("all optional fields null", json.dumps(dict.fromkeys(every) | ASKED), "null")
    yield plain("reversed order", json.dumps(dict(reversed(every.items()))))
    wrong = {"max_tokens": 0, "temperature": "hot", "top_p": 2, "enable_safety_checker": "maybe"}
    yield plain("four wrong fields", json.dumps(ASKED | wrong))
    yield plain("wrong fields and none required", json.dumps(wrong))
    yield plain(
        "unknown fields", json.dumps(ASKED | {"sync_mode": True, "": 1, "Prompt": None, "x": [{"y": 1.5}]})
    )
    yield plain("fields of other names", json.dumps(ASKED | {"max_new_tokens": "x", "top_k": -1}))
    yield plain("long prompt", json.dumps(ASKED | {"prompt": "word " * 2000}))
    own = {"reasoning_budget": 10}, {"reasoning_mode": "think", "grace_period": 5}, {"start_s": 2, "end_s": 2}
    for fields in own:
        yield plain(f"own rule: {', '.join(fields)}", json.dumps(ASKED | fields), "own rule")


def body_requests() -> Iterator[Request]:
    """Bodies that are no object, are encoded otherwise, or are no plain JSON."""
    usual = json.dumps(ASKED)
    for text in (
        "",
        " ",
        "\n",
        "null",
        "[]",
        "[{}]",
        '"text"',
        "7",
        "1.5",
        "true",
        "{}",
        " {} ",
        f"[{usual}]",
    ):
        yield plain(f"body {text[:12]!r}", text)
    for text in ("{", "}", "nonsense", '{"prompt": }', usual + "x", usual + usual, usual.replace('"', "'")):
        yield plain(f"broken {text[:8]}…{text[-8:]}", text)
    broken = {"comma at the end": '{"prompt":"x",}', "comment": "/* x */" + usual, "bare name": "{prompt:1}"}
    broken |= {
        "control character": '{"prompt":"a\nb"}',
        "bad escape": '{"prompt":"\\x"}',
        "number 01": '{"x":01}',
    }
    for name, text in broken.items():
        yield plain(name, text)
    yield plain("blanks around the body", f"\r\n\t {usual} \n")
    yield from encoded_requests(json.dumps(ASKED | {"prompt": "é漢😀"}, ensure_ascii=False))
    yield from unsafe_requests(usual)


def encoded_requests(text: str) -> Iterator[Request]:
    """The same body in every encoding that JSON has had, and bytes that are none of them."""
    yield binary("UTF-8 with a byte order mark", codecs.BOM_UTF8 + text.encode())
    yield binary("a byte order mark alone", codecs.BOM_UTF8)
    yield binary("two byte order marks", codecs.BOM_UTF8 * 2 + text.encode())
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        yield binary(name, text.encode(name))
    yield binary("Latin-1", text.replace("漢😀", "").encode("latin-1"), "not Unicode")
    yield binary("cut character", text.encode() + b"\xe2\x82", "not Unicode")
    yield binary("random bytes", bytes(range(255, 127, -1)), "not Unicode")


def unsafe_requests(usual: str) -> Iterator[Request]:
    """What JSON parsers read differently, or cannot hold."""
    begun = usual[:-1]
    yield plain("key twice", f'{begun},"prompt":"again"}}', "duplicate key")
    yield plain("inner key twice", f'{begun},"x":{{"a":1,"a":1}}}}', "duplicate key")
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400):
        yield plain(f"temperature {text[:9]}", f'{begun},"temperature":{text}}}', "not finite")
        yield plain(f"unknown field {text[:9]}", f'{begun},"x":{text}}}', "not finite")
    yield plain("lone surrogate", f'{begun},"system_prompt":"\\ud800"}}', "lone surrogate")
    yield plain("lone surrogate in a name", f'{begun},"\\udfff":1}}', "lone surrogate")
    yield binary("surrogate in UTF-8", usual.encode().replace(b"moves", b"\xed\xa0\x80"), "encoded surrogate")
    yield plain("NUL", f'{begun},"system_prompt":"a\\u0000b"}}', "NUL character")
    yield plain("NUL in a name", f'{begun},"a\\u0000":1}}', "NUL character")
    yield plain("60 levels", f'{begun},"x":{"[" * 60}{"]" * 60}}}')
    yield plain("100 levels", f'{begun},"x":{"[" * 100}{"]" * 100}}}', "deep nesting")
    yield plain("100,000 values", f'{begun},"x":[{MARK}0]}}', "many values") | {"repeated": ["0,", 100_000]}


def content_type_requests() -> Iterator[Request]:
    """The same body, and an empty one, with other media types."""
    for kind in CONTENT_TYPES:
        shown = "no content type" if kind is None else f"content type {kind!r}"
        yield plain(shown, json.dumps(ASKED)) | {"content_type": kind}
    for kind in ("text/plain", None):
        yield plain(f"empty, {kind}", "") | {"content_type": kind}


def with_field(rest: dict[str, Any], name: str, value: str) -> str:
    """The JSON of an object with one more field, whose value is a JSON text."""
    members = [f"{json.dumps(key)}: {json.dumps(inner)}" for key, inner in rest.items()]
    return "{" + ", ".join([*members, f"{json.dumps(name)}: {value}"]) + "}"


def plain(name: str, body: str, tag: str | None = None) -> Request:
    """A request with a text as its body."""
    shown = name if len(name) <= 80 else f"{name[:60]}… ({len(name)} characters)"
    return {"name": shown, "body": body} | ({} if tag is None else {"tag": tag})


def binary(name: str, body: bytes, tag: str | None = None) -> Request:
    """A request with bytes as its body."""
    encoded = {"name": name, "base64": base64.b64encode(body).decode()}
    return encoded | ({} if tag is None else {"tag": tag})


if __name__ == "__main__":
    main()
