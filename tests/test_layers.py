"""The import rules: which part of the package may import which other part. ARCHITECTURE.md has the same table."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "omnireel"
FILES = sorted(SRC.rglob("*.py"))

# The parts, from the lowest up. Each may import itself and the parts that are named here.
MAY_IMPORT = {
    "errors": set(),
    "shares": {"errors"},
    "settings": {"errors", "engine.params"},
    "text": {"errors"},
    "video": {"errors"},
    "model": {"errors"},
    "engine": {"errors", "model"},
    "task": {"errors", "engine.params"},
    "net": {"errors", "settings", "shares"},
    "store": {"errors", "task"},
    "storage": {"errors", "settings", "shares", "net", "store"},
    "webhooks": {"errors", "net", "store"},
    "prompting": {"errors", "task", "engine", "model", "text", "video"},
    "backends": {"errors", "shares", "task", "net", "engine", "model", "prompting", "text", "video"},
    "jobs": {"errors", "shares", "task", "settings", "net", "storage", "store", "webhooks", "backends.base"},
    "api": {
        "errors",
        "shares",
        "task",
        "engine.params",
        "settings",
        "net",
        "storage",
        "store",
        "webhooks",
        "jobs",
        "backends.base",
    },
}
EVERYTHING = {*MAY_IMPORT, "cli"}
MAY_IMPORT["cli"] = EVERYTHING
MAY_IMPORT["__main__"] = {"cli"}
# library: the files that may import it
ONLY_IN = {
    "apsw": ("store/sqlite/", "cli/models/doctor.py"),
    "av": ("video/",),
    "cryptography": ("cli/serving/tls.py", "webhooks/signing.py"),
    "pydantic": ("api/",),
    "pydantic_core": ("api/fal/input.py", "api/http/wire_model.py", "api/openapi/schemas.py"),
    "fastapi": (),
    "starlette": ("api/", "cli/serve.py"),
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
        "prompting/encoding.py",
        "backends/trace.py",
        "cli/backend.py",
        "cli/trace.py",
        "cli/models/doctor.py",
        "cli/models/runner.py",
        "cli/models/rates.py",
    ),
    # An extra. `engine/runners/llama_library.py` imports it by name.
    "llama_cpp": ("model/checkpoint/gguf/probe_child.py",),
    "transformers": (),
    "huggingface_hub": ("cli/models/hub.py",),
    "httpx2": ("cli/models/hub.py",),
    "httpx": (),
    "h11": ("net/",),
    "idna": ("net/urls.py",),
    "socket": (
        "jobs/supervisor.py",
        "net/",
        "cli/serve.py",
        "cli/serving/tls.py",
        "video/decoder/child.py",
        "video/reader/children.py",
        "video/decoder/fork_server.py",
    ),
    "ssl": ("net/", "cli/serve.py", "cli/serving/tls.py"),
    "PIL": (),
    "pickle": (),
}
MAX_MODULES, MAX_LINES = 14, 500
# Matches SQL in a string.
SQL = re.compile(
    r"\b(SELECT .* FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|PRAGMA)\b", re.DOTALL
)
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
def test_each_file_imports_only_what_the_rules_allow(path):
    assert list(breaches(path)) == []


def test_the_rules_cover_every_part_of_the_package():
    parts = {part_of(path) for path in FILES} - {"__init__"}
    assert parts == set(MAY_IMPORT)


def test_the_architecture_page_has_the_same_rules():
    page = (SRC.parents[1] / "ARCHITECTURE.md").read_text("utf-8")
    table = {
        part.removesuffix("/").removesuffix(".py"): allowed.strip()
        for part, allowed in re.findall(r"^\| `([a-z_./]+)` \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    }
    assert table.pop("cli") == "everything"
    written = {part: set() if allowed == "–" else set(allowed.split(", ")) for part, allowed in table.items()}
    assert written == {part: allowed for part, allowed in MAY_IMPORT.items() if part != "cli"}


def test_only_settings_reads_the_environment():
    readers = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_attribute = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
            is_import = isinstance(node, ast.ImportFrom) and node.module == "os"
            if is_attribute or (is_import and {a.name for a in node.names} & {"environ", "getenv"}):
                readers.add(name_of(path))
    assert readers == {"settings/__init__.py"}


def test_only_one_file_opens_outgoing_connections():
    openers = {"open_connection", "create_connection", "sock_connect", "getaddrinfo", "urlopen"}
    files = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in openers:
                files.add(name_of(path))
    assert files == {
        "net/connector.py",
        "net/resolver.py",
        "cli/serve.py",
    }  # the server looks up what it listens on


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("omnireel.backends.local", "av"),
        ("omnireel.cli.serve", "av"),
        ("omnireel.cli.serve", "torch"),
        ("omnireel.cli.serve", "cryptography"),
        ("omnireel.backends.echo", "torch"),
        ("omnireel.prompting.counts", "torch"),
        ("omnireel.model.config", "torch"),
        ("omnireel.cli.inspect", "torch"),
        ("omnireel.video.decoder.child", "torch"),
        ("omnireel.cli", "torch"),
        ("omnireel.cli.worker", "starlette"),
        ("omnireel.cli.worker", "fastapi"),
        ("omnireel.cli.worker", "uvicorn"),
        ("omnireel.cli", "pydantic_core.core_schema"),
    ],
)
def test_a_process_loads_no_library_that_it_does_not_need(module, library):
    code = f"import sys, {module}; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def module_of(path: Path) -> str:
    parts = ("omnireel", *path.relative_to(SRC).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_at_module_level(node: ast.AST) -> Iterator[str]:
    """Modules, or names in modules, imported outside functions; under TYPE_CHECKING as well."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported_at_module_level(child)


def import_graph(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Each module with the modules of the package that it imports."""
    trees = {module_of(path): ast.parse(path.read_text("utf-8")) for path in paths}
    graph = {}
    for module, tree in trees.items():
        names = set(imported_at_module_level(tree))
        # `from package import name` imports the module of that name, or a name that the package itself defines.
        found = {name if name in trees else name.rpartition(".")[0] for name in names}
        graph[module] = (found & trees.keys()) - {module}
    return graph


def import_circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The sets of modules that import each other, directly or through others."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        left = list(graph[start])
        while left:
            module = left.pop()
            if module not in seen:
                seen.add(module)
                left += graph[module]
        return seen

    reached = {module: reachable(module) for module in graph}
    return {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }


def test_no_modules_import_each_other_in_a_circle():
    assert {" ".join(sorted(circle)) for circle in import_circles(import_graph(FILES))} == set()


def test_a_circle_is_found_also_through_other_modules_and_type_checking(tmp_path, monkeypatch):
    monkeypatch.setattr("test_layers.SRC", tmp_path)
    sources = {
        "a.py": "from omnireel import b",
        "b.py": "if TYPE_CHECKING:\n    from omnireel.c import C",
        "c.py": "import omnireel.a",
        "d.py": "import omnireel.a\n\ndef f():\n    import omnireel.e",
        "e.py": "import omnireel.d",
    }
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    circles = import_circles(import_graph(sorted(tmp_path.iterdir())))
    assert circles == {frozenset({"omnireel.a", "omnireel.b", "omnireel.c"})}


def test_no_module_has_a_vague_name():
    words = {
        name_of(path) for path in FILES if set(path.relative_to(SRC).with_suffix("").parts) & VAGUE_NAMES
    }
    assert words == set()


def test_files_and_folders_stay_small():
    long = {
        name_of(path): n for path in FILES if (n := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}
    folders = Counter(path.parent.relative_to(SRC).as_posix() for path in FILES)
    assert {folder: n for folder, n in folders.items() if n > MAX_MODULES} == {}


def test_sql_is_in_one_folder():
    with_sql = set()
    for path in FILES:
        strings = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Constant))
        if any(isinstance(node.value, str) and SQL.search(node.value) for node in strings):
            with_sql.add(path.parent.relative_to(SRC).as_posix())
    assert with_sql == {"store/sqlite", "store/sqlite/migrations"}


def test_a_breach_is_found(tmp_path, monkeypatch):
    """A file that breaks the rules in three ways is reported three times."""
    monkeypatch.setattr("test_layers.SRC", tmp_path)
    path = tmp_path / "text" / "bad.py"
    path.parent.mkdir()
    path.write_text("import av\nfrom omnireel.model import omni\nfrom omnireel import engine\n")
    found = list(breaches(path))
    assert "text/bad.py imports av" in found
    assert "text/bad.py imports omnireel.model" in found
    assert "text/bad.py imports omnireel.engine" in found
