#!/usr/bin/env python
"""Run a command of the example project."""

import os
import sys


def main() -> None:
    """Choose the settings, then do what the command line says.

    ``manage.py test`` runs with the settings for tests, everything else with those for
    development. The environment variable ``DJANGO_SETTINGS_MODULE`` wins over both.
    """
    name = "test" if sys.argv[1:2] == ["test"] else "dev"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"example_project.settings.{name}")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
