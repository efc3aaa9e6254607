"""Running whole test projects inside a test, each in a process of its own."""

import os
import subprocess
import sys
import textwrap

from tests.support.project import ROOT

SETTINGS = """
    SECRET_KEY = "not-a-secret-" * 4
    USE_TZ = True
    INSTALLED_APPS = [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "channels",
        "chanx_testing",
    ]
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "db.sqlite3",
            "TEST": {"NAME": "test_db.sqlite3"},
        }
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""


class Outcome:
    """What a run in a subprocess came to."""

    def __init__(self, completed):
        self.code = completed.returncode
        self.text = completed.stdout + completed.stderr

    def passes(self, number):
        assert self.code == 0, self.text
        assert f"Ran {number} test" in self.text or f"{number} passed" in self.text, (
            self.text
        )

    def fails(self, *texts):
        assert self.code != 0, self.text
        for text in texts:
            assert text in self.text, self.text


class Project:
    """A tiny Django project in a folder of its own."""

    def __init__(self, folder, tests, settings=""):
        self.folder = folder
        (folder / "settings.py").write_text(
            textwrap.dedent(SETTINGS) + textwrap.dedent(settings)
        )
        (folder / "tests.py").write_text(textwrap.dedent(tests))

    def manage(self, *args):
        """Run ``manage.py test``."""
        return self.python("-m", "django", "test", *args)

    def pytest(self, *args):
        """Run pytest."""
        return self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *args)

    def python(self, *args):
        path = [str(self.folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
        environ = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return Outcome(
            subprocess.run(
                [sys.executable, "-W", "error", *args],
                cwd=self.folder,
                env=environ,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        )
