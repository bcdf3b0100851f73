"""Working memory that is allocated once and reused by every block of rows."""

from contextlib import contextmanager
from math import prod

import numpy as np


class Workspace:
    """Arrays by name, which keep their memory from one use to the next.

    A worker that allocates new arrays for every block waits for the operating system,
    and two workers wait for each other.
    """

    def __init__(self):
        self._memory = {}
        self._children = {}
        self._tiles = {}

    def array(self, name, shape, dtype):
        """Return an array of some shape; it holds the values of its last use."""
        size = prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.size < size or memory.dtype != dtype:
            memory = self._memory[name] = np.zeros(size, dtype=dtype)
        return memory[:size].reshape(shape)

    def like(self, template):
        """Return a function from names to arrays of the shape and dtype of another."""
        shape, dtype = template.shape, template.dtype
        return lambda name: self.array(name, shape, dtype)

    def tile(self, name, vector, n_rows):
        """Return a vector repeated n_rows times; one name always has the same vector.

        NumPy pays per row for broadcasting, which costs more than memory where rows
        are short.
        """
        tile = self._tiles.get(name)
        if tile is None or len(tile) < n_rows or tile.dtype != vector.dtype:
            tile = self._tiles[name] = np.tile(vector, (n_rows, 1))
        return tile[:n_rows]

    def child(self, name):
        """Return a workspace whose names do not collide with those of this one."""
        return self._children.setdefault(name, Workspace())


class WorkspacePool:
    """Workspaces that workers borrow for one slice of rows and give back."""

    def __init__(self):
        self._free = []

    @contextmanager
    def borrow(self):
        """Lend a workspace that no other worker uses."""
        try:
            workspace = self._free.pop()
        except IndexError:
            workspace = Workspace()
        yield workspace
        self._free.append(workspace)

    def __reduce__(self):
        return WorkspacePool, ()  # every process has workspaces of its own
