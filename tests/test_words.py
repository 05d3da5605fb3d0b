"""Names, settings, tables and messages use the field's terms, not a private vocabulary."""

import re
import sqlite3
import tokenize
from contextlib import closing
from pathlib import Path

import pytest

from omnireel.settings import Settings
from omnireel.store.open import open_store

ROOT = Path(__file__).parent.parent
FOLDERS = ("src", "bench", "tools", "training", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "training" / "LOG.md"])

# Words that had a meaning of their own in this project, and the field's terms that replace them.
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
# A field of the health page, which older programs read.
PUBLIC_NAMES = {"intrusions"}


def words_of(name):
    """The words of an identifier in lower case, as written and in the singular."""
    words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return words | {word.removesuffix("s") for word in words}


def tokens_of(path, *kinds):
    """The texts of a Python file's tokens of these kinds."""
    with tokenize.open(path) as file:
        return [token.string for token in tokenize.generate_tokens(file.readline) if token.type in kinds]


def private_words(names):
    return {name for name in names if name not in PUBLIC_NAMES and words_of(name) & set(PRIVATE)}


def phrases_in(text):
    return {found[0] for phrase in PHRASES for found in re.finditer(phrase, text, re.IGNORECASE)}


def prose_of(path):
    """The comments and strings of a Python file, or the whole text of a page."""
    if path.suffix != ".py":
        return path.read_text("utf-8")
    return "\n".join(tokens_of(path, tokenize.COMMENT, tokenize.STRING))


def names_of_store(path):
    """The names of all tables, columns, indexes and triggers of a new store."""
    open_store(path).close()
    with closing(sqlite3.connect(path)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
        columns = (
            "SELECT c.name FROM sqlite_schema AS s, pragma_table_info(s.name) AS c WHERE s.type = 'table'"
        )
        return names | {name for (name,) in database.execute(columns)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_identifier_is_of_the_private_vocabulary(folder):
    breaches = {
        path.relative_to(ROOT).as_posix(): found
        for path in FILES
        if path.relative_to(ROOT).parts[0] == folder
        and (found := private_words(tokens_of(path, tokenize.NAME)))
    }
    assert breaches == {}


def test_no_module_is_named_so():
    assert private_words({path.stem for path in FILES}) == set()


def test_no_setting_is_named_so():
    assert private_words(Settings.__dataclass_fields__) == set()


def test_no_table_or_column_is_named_so(tmp_path):
    names = names_of_store(tmp_path / "omnireel.db")
    assert {"jobs", "lease_until"} <= names, "the names of the store were not found"
    assert private_words(names) == set()


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_phrase_is_hard_to_understand(path):
    if path == Path(__file__):
        return  # it lists the phrases
    assert phrases_in(prose_of(path)) == set()


def test_breaches_are_found():
    names = {"open_doors", "Crew", "FetchTerms", "num_intrusions", "intrusions", "LogLine"}
    assert private_words(names) == {"open_doors", "Crew", "FetchTerms", "num_intrusions"}
    assert phrases_in("Whoever asks is told; nothing is mended.") == {"Whoever", "mended"}


def test_breaches_in_a_file_are_found(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('crew = 1  # whoever\n"""Nothing is mended."""\n')
    assert private_words(tokens_of(path, tokenize.NAME)) == {"crew"}
    assert phrases_in(prose_of(path)) == {"whoever", "mended"}
