"""The pages keep to their style."""

import re

from tests.support.docs.pages import all_pages, prose_of
from tests.support.project import ROOT

# The end of a sentence, and a second one on the same line.
_SECOND_SENTENCE = re.compile(r"(?<!^\d)[.!?][)\"*`]* +(?=[A-Z`])")
_WORDS = re.compile(
    r"\b(simply|easily|just|obviously|seamless\w*|comprehensive)\b", re.IGNORECASE
)


PAGES = [
    *all_pages(),
    *(ROOT / f"{name}.md" for name in ("CODE_OF_CONDUCT", "CONTRIBUTING", "SECURITY")),
]


def lines():
    """Yield each line of prose of every page, and where it stands."""
    for page in PAGES:
        for number, line in prose_of(page):
            if not line.startswith(("|", "<!--")):
                yield f"{page.relative_to(ROOT)}:{number}: {line}", line


def test_a_line_has_one_sentence():
    assert [place for place, line in lines() if _SECOND_SENTENCE.search(line)] == []


def test_no_word_belittles_or_praises():
    assert [place for place, line in lines() if _WORDS.search(line)] == []


def test_nothing_is_left_to_do():
    pages = {page: page.read_text(encoding="utf-8") for page in PAGES}
    assert [str(page) for page, text in pages.items() if "TODO" in text] == []
