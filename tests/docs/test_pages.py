"""The documentation as a whole: its size, its links, and that its generated page is current."""

import re

from doc_blocks import ROOT, pages

from tools.http_api import PAGE, openapi_document, page_of

OTHER_PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "training/LOG.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_PATH = re.compile(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.py)`")
NAMED_TEST = re.compile(r"`(tests/[a-z_/]+\.py)::(test_[a-z_0-9]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors_of(text):
    """The anchors that GitHub gives to the headings of a page."""
    titles = (re.sub(r"[`*]", "", title).strip().lower() for title in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def is_dead(page, link):
    """Whether a link of the page leads to no file, or to no heading in it."""
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    if not path.exists():
        return True
    return bool(anchor) and anchor not in anchors_of(path.read_text("utf-8"))


def test_the_readme_can_be_read_in_one_go():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def test_links_lead_to_a_file_and_a_heading():
    dead = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in (*pages(), *(ROOT / name for name in OTHER_PAGES))
        for link in LINK.findall(page.read_text("utf-8"))
        if "://" not in link and is_dead(page, link)
    ]
    assert dead == []


def test_files_of_the_code_that_are_named_exist():
    missing = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in (*pages(), *(ROOT / name for name in OTHER_PAGES if name != "CHANGELOG.md"))
        for name in CODE_PATH.findall(page.read_text("utf-8"))
        if not any((ROOT / folder / name).exists() for folder in ("", "src/omnireel"))
    ]
    assert missing == []


def test_the_index_lists_every_page():
    listed = set(LINK.findall((ROOT / "docs" / "README.md").read_text("utf-8")))
    missing = {page.name for page in (ROOT / "docs").glob("*.md")} - listed - {"README.md"}
    assert missing == set()


def test_the_page_about_the_http_api_is_the_openapi_document():
    """Where it is not: `python -m tools.http_api`."""
    assert PAGE.read_text("utf-8") == page_of(openapi_document())


def test_the_tests_that_the_table_of_failures_names_exist():
    text = (ROOT / "docs" / "failures.md").read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ") and not row.startswith("| What happens")]
    named = [NAMED_TEST.findall(row) for row in rows]
    assert len(rows) > 10
    assert [row for row, tests in zip(rows, named, strict=True) if not tests] == []
    missing = [
        (path, name)
        for path, name in (test for tests in named for test in tests)
        if not (ROOT / path).exists() or f"def {name}(" not in (ROOT / path).read_text("utf-8")
    ]
    assert missing == []
