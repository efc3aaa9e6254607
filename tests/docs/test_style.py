"""The pages keep to their style."""

import re

import pytest

from tests.support.docs.pages import ROOT, all_pages, prose_of

PAGES = all_pages()

# The end of a sentence, and a second one on the same line.
_SECOND_SENTENCE = re.compile(r"(?<!^\d)[.!?][)\"*`]* +(?=[A-Z`])")
_WORDS = re.compile(
    r"\b(simply|easily|just|obviously|seamless\w*|comprehensive)\b", re.IGNORECASE
)


def lines_of(page):
    return [
        (f"{page.relative_to(ROOT)}:{number}: {line}", line)
        for number, line in prose_of(page)
        if not line.startswith(("|", "<!--"))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_line_has_one_sentence(page):
    assert not [
        place for place, line in lines_of(page) if _SECOND_SENTENCE.search(line)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_word_belittles_or_praises(page):
    assert not [place for place, line in lines_of(page) if _WORDS.search(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_do(page):
    assert "TODO" not in page.read_text(encoding="utf-8")
