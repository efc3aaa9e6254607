"""The Sphinx configuration: `make docs` builds without the network and warnings."""

import sys
from pathlib import Path

import django
from django.conf import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chanx_testing import __version__

# autodoc imports the modules, and those for Django need its app registry.
settings.configure(
    SECRET_KEY="not-a-secret",
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "rest_framework.authtoken",
        "channels",
        "chanx_testing",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()

project = "chanx-testing"
author = "the chanx-testing maintainers"
project_copyright = f"2026, {author}"
release = __version__
version = ".".join(release.split(".")[:2])

# No intersphinx: it fetches the inventories of other projects at every build.
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# A limit of a verb is shown as its number, not by the name of a constant.
autodoc_preserve_defaults = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False


def _take_returns_as_prose(app, what, name, obj, options, lines):
    """Keep "A verdict: true when ..." from being read as a type and its description.

    Types are in the annotations. An empty type before the text says so to napoleon.
    """
    for number, line in enumerate(lines[:-1]):
        if line.strip() in {"Returns:", "Yields:"}:
            text = lines[number + 1]
            indent = text[: len(text) - len(text.lstrip())]
            lines[number + 1] = f"{indent}: {text.lstrip()}"


def setup(app):
    """Run before napoleon, whose priority is the default of 500."""
    app.connect("autodoc-process-docstring", _take_returns_as_prose, priority=400)
