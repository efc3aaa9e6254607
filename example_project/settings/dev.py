"""Settings for ``manage.py runserver``."""

from example_project.settings.base import *

DEBUG = True
INTERNAL_IPS = ["127.0.0.1"]

CHANX = {
    "SEND_COMPLETION": False,
    "LOG_WEBSOCKET_MESSAGE": True,
    "LOG_IGNORED_ACTIONS": ["ping", "pong"],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "brief": {"format": "{levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "brief"},
    },
    "loggers": {
        "chanx_testing": {"handlers": ["console"], "level": "INFO"},
    },
}
