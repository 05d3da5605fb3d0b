"""The import law: which part of the package may know which other part. ARCHITECTURE.md draws it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "omnireel"
FILES = sorted(SRC.rglob("*.py"))

EVERYTHING = {
    "api",
    "backends",
    "cli",
    "engine",
    "errors",
    "jobs",
    "model",
    "setting_kinds",
    "setting_table",
    "setting_sources",
    "settings",
    "text",
    "video",
}
MAY_IMPORT = {
    "errors": set(),
    "setting_kinds": set(),
    "setting_table": {"setting_kinds"},
    "setting_sources": set(),
    "settings": {"errors", "setting_kinds", "setting_table", "setting_sources"},
    "video": {"errors"},
    "model": {"errors"},
    "text": {"errors"},
    "engine": {"errors", "model"},
    "backends": {"errors", "video", "model", "text", "engine"},
    "jobs": {"errors", "backends.base", "video"},
    "api": {"errors", "settings", "jobs", "backends.base"},
    "cli": EVERYTHING,
}
# library: the files that may import it
ONLY_IN = {
    "apsw": ("store/sqlite/database.py", "cli/models/doctor.py"),
    "av": ("video/",),
    "cryptography": ("cli/serving/tls.py", "webhooks/signing.py"),
    "pydantic": ("api/fal/wire.py", "api/openapi/schemas.py"),
    "pydantic_core": ("api/fal/wire.py", "api/openapi/schemas.py"),
    "fastapi": ("api/", "cli/serve.py"),
    "starlette": ("api/",),
    "uvicorn": ("cli/serve.py", "cli/serving/connection.py"),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "jinja2": ("text/",),
    "tokenizers": ("text/",),
    "safetensors": ("model/", "cli/trace.py"),
    "torch": (
        "video/tubelets.py",
        "model/",
        "engine/",
        "prompting/preparation.py",
        "backends/trace.py",
        "cli/backend.py",
        "cli/trace.py",
        "cli/models/doctor.py",
    ),
    "transformers": (),
    "huggingface_hub": ("cli/models/hub.py",),
    "httpx2": ("cli/models/hub.py",),
    "httpx": (),
    "h11": ("net/download.py", "net/http1.py"),
    "idna": ("net/urls.py",),
    "socket": (
        "jobs/supervisor.py",
        "net/connector.py",
        "net/proxy_tunnel.py",
        "cli/serve.py",
        "cli/serving/tls.py",
        "video/decoder/child.py",
        "video/reader/children.py",
        "video/decoder/fork_server.py",
    ),
    "ssl": ("net/connector.py", "cli/serve.py", "cli/serving/tls.py"),
    "PIL": (),
    "pickle": (),
}
VAGUE_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "manager",
    "service",
    "services",
    "common",
    "misc",
    "core",
}


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield node.module or ""
            if node.module == "omnireel" or (node.module or "").count(".") == 1:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(path: Path) -> Iterator[str]:
    part = part_of(path)
    for imported in imports_of(path):
        library, _, inner = imported.partition(".")
        if library == "omnireel" and inner and path != SRC / "__init__.py":
            other = inner.split(".")[0]
            names = {other, ".".join(inner.split(".")[:2])}
            if other in EVERYTHING and other != part and not names & MAY_IMPORT[part] and inner != "backends":
                yield f"{name_of(path)} imports {imported}"
        elif library in ONLY_IN and not name_of(path).startswith(ONLY_IN[library]):
            yield f"{name_of(path)} imports {library}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_file_imports_only_what_the_law_allows(path):
    assert list(breaches(path)) == []


def test_the_law_covers_every_part_of_the_package():
    parts = {part_of(path) for path in FILES} - {"__init__"}
    assert parts <= set(MAY_IMPORT)


def test_only_settings_reads_the_environment():
    readers = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_attribute = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
            is_import = isinstance(node, ast.ImportFrom) and node.module == "os"
            if is_attribute or (is_import and {a.name for a in node.names} & {"environ", "getenv"}):
                readers.add(name_of(path))
    assert readers <= {"settings/__init__.py"}


def test_only_one_file_opens_outgoing_connections():
    openers = {"open_connection", "create_connection", "sock_connect", "getaddrinfo", "urlopen"}
    files = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in openers:
                files.add(name_of(path))
    assert files == {"net/connector.py", "cli/serve.py"}  # the server looks up what it listens on


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("omnireel.backends.local", "av"),
        ("omnireel.cli.serve", "av"),
        ("omnireel.cli.serve", "torch"),
        ("omnireel.cli.serve", "cryptography"),
        ("omnireel.backends.echo", "torch"),
        ("omnireel.video.decoder.child", "torch"),
        ("omnireel.cli", "torch"),
        ("omnireel.cli", "pydantic_core.core_schema"),
    ],
)
def test_a_process_loads_no_library_that_it_has_no_use_for(module, library):
    code = f"import sys, {module}; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_module_has_a_name_that_says_nothing():
    words = {
        name_of(path) for path in FILES if set(path.relative_to(SRC).with_suffix("").parts) & VAGUE_NAMES
    }
    assert words == set()


def test_files_stay_within_300_lines():
    long = {name_of(path): n for path in FILES if (n := len(path.read_text("utf-8").splitlines())) > 300}
    assert long == {}


def test_a_breach_is_found(tmp_path, monkeypatch):
    """The law itself is tested: a file that breaks it in three ways is named three times."""
    monkeypatch.setattr("test_layers.SRC", tmp_path)
    path = tmp_path / "text" / "bad.py"
    path.parent.mkdir()
    path.write_text("import av\nfrom omnireel.model import omni\nfrom omnireel import engine\n")
    found = list(breaches(path))
    assert "text/bad.py imports av" in found
    assert "text/bad.py imports omnireel.model" in found
    assert "text/bad.py imports omnireel.engine" in found
