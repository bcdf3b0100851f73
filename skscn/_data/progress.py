"""Progress messages of long calls, where the configuration of joblib asks for them.

A fit shows its progress by the callbacks of scikit-learn. Other calls have none there,
and neither `transform` nor functions should have a parameter for it. Their loops are
those that joblib would run, so that the option `verbose` of `joblib.parallel_config`
counts for them, too.
"""

import sys
from threading import local
from time import monotonic

from joblib import Parallel

# Seconds between messages at verbose=1; every level takes off one, so that more than
# ten print a message for every result, as in joblib.
LONGEST_INTERVAL = 10.0
STDOUT_VERBOSITY = 50  # from here on, joblib prints to stdout


def report_progress(results, n_results):
    """Yield results, and print how many there are so far, if that is asked for.

    A result is done when the next one is asked for. Nothing is printed for loops inside
    of another one, and for those that are shorter than the interval between messages.

    Parameters
    ----------
    results : iterable
        Of results, or of what the caller computes them from.
    n_results : int
    """
    verbosity = 0 if n_results < 2 else Parallel().verbose
    if not verbosity or getattr(_thread, "reports", False):
        yield from results
        return
    interval = max(LONGEST_INTERVAL + 1 - verbosity, 0.0)
    file = sys.stdout if verbosity >= STDOUT_VERBOSITY else sys.stderr
    start = last = monotonic()
    has_printed, _thread.reports = False, True
    try:
        for n_done, result in enumerate(results, 1):
            yield result
            now = monotonic()
            is_end = n_done == n_results
            if now - last >= interval or (is_end and has_printed):
                last, has_printed = now, True
                print(_message(n_done, n_results, now - start), file=file, flush=True)
    finally:
        _thread.reports = False


def _message(n_done, n_results, elapsed):
    remaining = elapsed / n_done * (n_results - n_done)
    return (
        f"[skscn]: {n_done} of {n_results} blocks done, {elapsed:.1f} s elapsed, about "
        f"{remaining:.1f} s remaining"
    )


_thread = local()
