"""The number of threads of BLAS: limited to one while this package computes.

Threads of BLAS slow small products down, and results would depend on their number.
Rows are shared among workers instead, as many as BLAS would use threads.
"""

import os
from contextlib import contextmanager
from functools import cached_property
from threading import Lock, local

from threadpoolctl import ThreadpoolController


@contextmanager
def single_blas_thread():
    """Limit BLAS to one thread while the calling thread is in this context."""
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()


def n_blas_threads():
    """Return how many threads a product outside this package would use now.

    It is None where threadpoolctl knows no BLAS library, as on macOS.
    """
    return min(_limit.numbers_before(), default=None)


class _Limit:
    """The limit of all BLAS libraries of this process, and who asks for it.

    In most builds the number of threads is one of the whole process. When several
    threads limit it at the same time, the first sets the limit and the last restores
    the number before. In builds on OpenMP every thread has a number of its own, and
    restores it by itself.
    """

    def __init__(self):
        self.lock, self.n_callers = Lock(), 0
        self.process_numbers = []  # of every library before the first caller
        self.thread = local()  # `depth` of nested calls, and `numbers` before the first

    @cached_property
    def libraries(self):
        # The search for loaded libraries takes milliseconds.
        return ThreadpoolController().select(user_api="blas").lib_controllers

    def enter(self):
        with self.lock:
            numbers = self._numbers_before()
            if self._depth() == 0:
                self.thread.numbers = numbers
            if self.n_callers == 0:
                self.process_numbers = numbers
            self.n_callers += 1
            self.thread.depth = self._depth() + 1
            for library in self.libraries:
                _set_number(library, 1)

    def leave(self):
        with self.lock:
            self.n_callers -= 1
            self.thread.depth -= 1
            for i, library in enumerate(self.libraries):
                if _is_per_thread(library):
                    if self.thread.depth == 0:
                        _set_number(library, self.thread.numbers[i])
                elif self.n_callers == 0 and library.num_threads == 1:
                    # Other numbers were set by others in the meantime, and stay.
                    _set_number(library, self.process_numbers[i])

    def numbers_before(self):
        with self.lock:
            return self._numbers_before()

    def _numbers_before(self):
        if self._depth():
            return self.thread.numbers
        return [
            self.process_numbers[i]
            if self.n_callers and not _is_per_thread(library)
            else library.num_threads
            for i, library in enumerate(self.libraries)
        ]

    def _depth(self):
        return getattr(self.thread, "depth", 0)

    def restart_in_child(self):
        """Keep the calls of the one thread that a forked process starts with."""
        self.lock = Lock()
        if self.n_callers and not self._depth():
            for library, number in zip(
                self.libraries, self.process_numbers, strict=True
            ):
                _set_number(library, number)
        self.n_callers = self._depth()


def _set_number(library, n_threads):
    """Set the number of threads of a library, from whichever thread.

    threadpoolctl lets only one thread at a time control OpenBLAS, and ignores others
    without notice.
    """
    if library.num_threads == n_threads:
        return
    give_up_control = getattr(library, "clear_controlling_thread", None)
    if give_up_control is None:
        library.set_num_threads(n_threads)
        return
    give_up_control(force=True)
    library.set_num_threads(n_threads)
    give_up_control(force=True)


def _is_per_thread(library):
    return getattr(library, "threading_layer", None) == "openmp"


_limit = _Limit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _limit.lock.acquire(),
        after_in_parent=lambda: _limit.lock.release(),
        after_in_child=_limit.restart_in_child,
    )
