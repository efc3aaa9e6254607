"""Every example of the documentation runs, and does what its page says."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docs.pages import (
    LANGUAGES,
    TAGS,
    all_pages,
    blocks_of,
    directives_of,
)
from tests.support.docs.running import (
    PageRun,
    commands_not_run,
    run_commands,
    runs_as_commands,
)
from tests.support.project import ROOT


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


PAGES = [page for page in all_pages() if blocks_of(page)]
AS_COMMANDS = [page for page in PAGES if runs_as_commands(page)]
IN_THIS_PROCESS = [
    page
    for page in PAGES
    if page not in AS_COMMANDS
    and any(block.language == "python" for block in blocks_of(page))
]


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """Do without the log of errors that an example is about."""
    logger = logging.getLogger("chanx_testing")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quiet_logging")
@pytest.mark.parametrize("page", IN_THIS_PROCESS, ids=name_of)
def test_examples_pass(page, tmp_path):
    PageRun(tmp_path, page).run()


@pytest.mark.slow
@pytest.mark.parametrize("page", AS_COMMANDS, ids=name_of)
def test_commands_do_what_is_shown(page, tmp_path):
    run_commands(tmp_path, page)


def test_every_block_has_a_language_that_says_whether_it_runs():
    unknown = [
        f"{block.place}: {block.language!r}"
        for page in PAGES
        for block in blocks_of(page)
        if block.language not in LANGUAGES
    ]
    assert not unknown


def test_every_comment_before_a_block_is_known():
    unknown = [
        f"{block.place}: {', '.join(block.tags - TAGS)}"
        for page in PAGES
        for block in blocks_of(page)
        if block.tags - TAGS
    ]
    assert not unknown


def test_directives_hide_no_code():
    hidden = [
        block.place
        for page in all_pages()
        for block in directives_of(page)
        if "code-block" in block.text
        or block.language.startswith(("{code", "{literalinclude", "{doctest"))
    ]
    assert not hidden


def test_what_is_not_run_is_known():
    """Every other command and all of Python on the pages is run by a test above."""
    not_run = {
        name_of(page): commands
        for page in all_pages()
        if (commands := commands_not_run(page))
    }
    assert not_run == {
        "README.md": [
            "make demo    # run the tests of the example project, a small chat",
            "make run     # open that chat at http://127.0.0.1:8000/",
            "make test    # run all tests",
            "make help    # list the rest",
            "pip install chanx-testing",
        ],
        "docs/howto/debugging.md": ["CHANX_TEST_TIMEOUT_SCALE=5 python manage.py test"],
        "docs/howto/fastapi.md": [
            "python -m pip install 'chanx-testing[fastapi]' pytest pytest-asyncio"
        ],
        "docs/howto/runners.md": ["python -m pip install pytest pytest-django"],
        "docs/tutorial.md": ["python -m pip install chanx-testing"],
    }
