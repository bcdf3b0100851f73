"""Working memory that is asked for once."""

from contextlib import contextmanager

import numpy as np


class Workspace:
    """Working memory by name, asked for once and used again by every block."""

    def __init__(self):
        self._arrays = {}
        self._rooms = {}

    def of(self, room):
        """Return the working memory of a part, apart from that of the others."""
        return self._rooms.setdefault(room, Workspace())

    def __call__(self, name, shape, dtype):
        """Return an array of the shape; what it holds is left from its last use."""
        size = int(np.prod(shape))
        held = self._arrays.get(name)
        if held is None or held.size < size or held.dtype != dtype:
            held = self._arrays[name] = np.zeros(size, dtype=dtype)
        return held[:size].reshape(shape)


class WorkspacePool:
    """Working memory of many workers, each of whom lays it back for the next slice.

    Asking the system for it again and again is what workers wait in line for.
    """

    def __init__(self):
        self._free = []

    @contextmanager
    def taken(self):
        """Lend working memory that no other worker has."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = Workspace()
        yield scratch
        self._free.append(scratch)

    def __reduce__(self):
        return WorkspacePool, ()  # other processes have their own
