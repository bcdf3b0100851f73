"""Groups of similar patches: the leaves of a balanced tree.

The patches of a node are divided into two halves by the coefficient with the largest
variance. Patches are not compared with each other, so n patches need O(n log n)
operations, all of them on whole arrays.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PatchGroups:
    """Groups of neighboring columns.

    Parameters
    ----------
    starts, sizes : ndarray of int of shape (n_groups,)
        First column and number of columns of every group.
    """

    starts: np.ndarray
    sizes: np.ndarray

    def mean(self, columns):
        """Return the means of the groups, an array of shape (n_rows, n_groups)."""
        sums = np.add.reduceat(columns, self.starts, axis=1)
        return sums / self.sizes.astype(columns.dtype)

    def repeat(self, values):
        """Return an array in which every column has the value of its group."""
        return np.repeat(values, self.sizes, axis=-1)


def group_patches(codes, group_size):
    """Return an order of patches in which the groups are neighbors, and the groups.

    Parameters
    ----------
    codes : ndarray of shape (n_coefficients, n_patches)
    group_size : int
        Minimum number of patches in a group, which has at most twice as many. Fewer
        patches are one group.

    Returns
    -------
    order : ndarray of int of shape (n_patches,)
    groups : PatchGroups
        Of the ordered patches.
    """
    n_patches = codes.shape[1]
    order = np.arange(n_patches)
    groups = PatchGroups(np.zeros(1, dtype=np.intp), np.array([n_patches]))
    while groups.sizes.min() >= 2 * group_size:
        ordered = codes[:, order]
        means = groups.mean(ordered)
        widest = (groups.mean(ordered**2) - means**2).argmax(axis=0)
        nodes = np.arange(len(groups.sizes))
        # Atoms have arbitrary signs, which have no influence on the groups.
        signs = np.where(means[widest, nodes] < 0, -1, 1).astype(codes.dtype)
        keys = ordered[groups.repeat(widest), np.arange(n_patches)]
        keys *= groups.repeat(signs)
        order = order[np.lexsort((keys, groups.repeat(nodes)))]
        halves = np.column_stack([groups.sizes // 2, (groups.sizes + 1) // 2])
        sizes = halves.ravel()
        groups = PatchGroups(np.cumsum(sizes) - sizes, sizes)
    return order, groups
