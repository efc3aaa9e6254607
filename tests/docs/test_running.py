"""What runs the examples finds those that do not do what their page says."""

import pytest

from tests.support.docs.pages import blocks_of
from tests.support.docs.running import (
    ExampleFailed,
    PageRun,
    require_shown,
    run_commands,
)

CASE = """\
from django.test import SimpleTestCase


class Tests(SimpleTestCase):
    def test(self):
        self.assertEqual(1, {number})
"""


@pytest.fixture
def page(tmp_path):
    """Return a function that writes a page of blocks (language, text, tags)."""

    def write(*blocks):
        file = tmp_path / "page.md"
        file.write_text(
            "\n".join(
                "".join(f"<!-- {tag} -->\n" for tag in tags)
                + f"```{language}\n{text}```\n"
                for language, text, *tags in blocks
            )
        )
        return file

    return write


@pytest.fixture
def run(page, tmp_path):
    """Return a function that writes a page and runs it in this process."""
    return lambda *blocks: PageRun(tmp_path / "site", page(*blocks)).run()


def test_a_test_that_fails_is_found(run):
    with pytest.raises(ExampleFailed, match="1 != 2") as caught:
        run(("python", CASE.format(number=2)))
    assert "page.md:1" in caught.value.__notes__[0]


def test_code_that_raises_is_found(run):
    with pytest.raises(ZeroDivisionError):
        run(("python", "1 / 0\n"))


@pytest.mark.django_db(transaction=True)
def test_code_with_a_bare_await_that_fails_is_found(run):
    text = "await communicator.send_json({})\nawait communicator.receive_nothing()\n"
    with pytest.raises(ExampleFailed, match="Expected nothing"):
        run(("python", text))


def test_a_test_that_is_said_to_fail_and_passes_is_found(run):
    with pytest.raises(ExampleFailed, match="it passes"):
        run(("python", CASE.format(number=1), "fails"), ("text", "1 != 2\n"))


def test_a_test_that_fails_in_another_way_is_found(run):
    with pytest.raises(ExampleFailed, match="1 != 3"):
        run(("python", CASE.format(number=2), "fails"), ("text", "1 != 3\n"))


def test_a_failure_that_is_not_shown_is_found(run):
    with pytest.raises(ExampleFailed, match="no text block"):
        run(("python", CASE.format(number=2), "fails"))


def test_a_test_that_is_skipped_is_found(run):
    skipped = CASE.replace("self.assertEqual(1, {number})", 'self.skipTest("later")')
    with pytest.raises(ExampleFailed, match="later"):
        run(("python", skipped))


def test_a_command_that_fails_is_found(page, tmp_path):
    with pytest.raises(ExampleFailed, match="ended with 3"):
        run_commands(tmp_path, page(("console", "$ exit 3\n")))


def test_a_command_that_prints_something_else_is_found(page, tmp_path):
    with pytest.raises(ExampleFailed, match="the page shows"):
        run_commands(tmp_path, page(("console", "$ echo one\ntwo\n")))


def test_code_without_a_file_is_found_where_commands_are_run(page, tmp_path):
    with pytest.raises(ExampleFailed, match="which file"):
        run_commands(tmp_path, page(("python", "1 + 1\n")))


def test_what_varies_may_vary():
    require_shown("in 0.1s\nws#1 tests.py:3\n", "before\nin 2.5s\nws#9 tests.py:41\n")


def test_lines_are_left_out_only_where_the_page_says_so():
    require_shown("one\n...\nthree\n", "one\ntwo\nthree\n")
    with pytest.raises(ExampleFailed):
        require_shown("one\nthree\n", "one\ntwo\nthree\n")


def test_the_order_of_lines_counts():
    with pytest.raises(ExampleFailed):
        require_shown("two\n...\none\n", "one\ntwo\n")


def test_a_block_without_a_language_is_a_block(page):
    (block,) = blocks_of(page(("", "text\n")))
    assert block.language == ""
