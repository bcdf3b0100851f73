"""Warnings that point at the line of the user's code that caused them."""

import sys
import warnings

# Packages whose frames lie between the user's code and the code that warns.
SKIPPED_PACKAGES = {"skscn", "sklearn", "joblib", "contextlib"}


def warn_caller(message, category=UserWarning):
    """Warn at the first frame of the stack that is in none of the skipped packages.

    Decorators, Pipelines and searches make the depth of that frame vary. In a worker
    thread, where there is no such frame, the warning is located at the thread's start.
    """
    frame, stacklevel = sys._getframe(1), 2
    while frame.f_back is not None and _is_skipped(frame):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel)


def _is_skipped(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0] in SKIPPED_PACKAGES
