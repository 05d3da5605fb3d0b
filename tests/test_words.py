"""Names, settings, tables and messages use the field's standard terms, and no private vocabulary."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from omnireel.settings import Settings

ROOT = Path(__file__).parent.parent
FOLDERS = ("src", "bench", "tools", "training", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "training" / "LOG.md"])

# Words that once stood for something else here; the field's term is beside each.
PRIVATE = {
    "door": "fal host",
    "entrance": "public base URL",
    "crew": "supervisor",
    "crowd": "per-host limit",
    "nursery": "fork server",
    "intrusion": "sandbox violation",
    "intruded": "sandbox violation",
    "mailbox": "queue",
    "letter": "item",
    "errand": "background task",
    "stranger": "unknown, or another account",
    "mend": "fix",
    "tell": "publish, print or report",
    "hear": "record, or read audio",
    "heard": "audio input",
    "beat": "renew the lease",
    "plug": "socket",
    "forget": "purge",
    "terms": "policy",
    "chore": "task",
}
# Phrases that are hard to understand. Ordinary words are allowed.
PHRASES = (
    r"\bwhoever\b",
    r"\bwhatever stands in the way\b",
    r"\bon the line\b",
    r"\bthe nursery\b",
    r"\bthe crew\b",
    r"\bdoors? of the\b|\b(sync|queue|rest|cdn|own) doors?\b",
    r"\bmend(s|ed|ing)?\b",
    r"\bstrangers?\b",
    r"\bis none that\b",
    r"\bnobody is left\b",
    r"\bsomebody else's\b",
)
# The wire keeps a field of the health page that older programs read.
WIRE_NAMES = {"intrusions"}


def words_of(name):
    """The words of an identifier, in lower case and in the singular."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return {part.lower().removesuffix("s") if part.lower() != "terms" else "terms" for part in parts}


def names_in(path):
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.NAME:
                yield token.string


def private_words(names):
    return {name for name in names if name not in WIRE_NAMES and words_of(name) & set(PRIVATE)}


def phrases_in(text):
    return {found[0] for phrase in PHRASES for found in re.finditer(phrase, text, re.IGNORECASE)}


def prose_of(path):
    """Comments and strings of a Python file, or a whole page."""
    if path.suffix != ".py":
        return path.read_text("utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return "\n".join(token.string for token in tokens if token.type in (tokenize.COMMENT, tokenize.STRING))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_identifier_has_a_word_of_the_private_vocabulary(folder):
    here = Path(__file__)
    breaches = {
        path.relative_to(ROOT).as_posix(): found
        for path in FILES
        if path.relative_to(ROOT).parts[0] == folder
        and path != here
        and (found := private_words(names_in(path)))
    }
    assert breaches == {}


def test_no_file_or_setting_or_table_has_one_either():
    modules = {path.stem for path in FILES}
    tables = {
        name
        for path in (ROOT / "src").rglob("*.sql")
        for name in re.findall(
            r"CREATE (?:TABLE|INDEX|TRIGGER) (\w+)|^\s+(\w+) +[A-Z]+", path.read_text(), re.M
        )
        for name in name
        if name
    }
    assert tables, "no SQL was found"
    assert private_words(modules | tables | set(Settings.__dataclass_fields__)) == set()


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_text_has_a_phrase_of_the_list(path):
    if path == Path(__file__):
        return
    assert phrases_in(prose_of(path)) == set()


def test_breaches_are_found():
    assert private_words({"open_door", "Crew", "LogLine", "num_intrusions"}) == {
        "open_door",
        "Crew",
        "num_intrusions",
    }
    assert phrases_in("Whoever asks is told; nothing is mended.") == {"Whoever", "mended"}
    assert ast.parse(Path(__file__).read_text("utf-8"))
