"""The former name of `promptkit.selection`, kept for code that imports it."""

from promptkit.selection import *  # noqa: F403
from promptkit.selection import __all__ as __all__
