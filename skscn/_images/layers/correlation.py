"""Products of all patches with filters, without storing patches."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

MAX_SEGMENT_PATCHES = 16  # neighboring patches that are copied as one segment
COPY_COST = 24.0  # multiply-adds that take as long as the copy of one value
# Root mean square of pixels, by that of the differences of neighbors, above which the
# level of pixels is subtracted. One image of many may have ten times this ratio: its
# products have rounding errors of 300 units, 2e-5 of the differences in float32.
MAX_LEVEL = 30.0
ROW_COPY_COST = 8.0  # values that take as long to copy as the start of a row's copy


class Correlation:
    """Products of all patches of images with all filters, by few large products.

    Neighboring patches share most of their values. A segment of `segment_patches`
    neighboring patches is copied once, and multiplied by a banded matrix that holds
    the filters at each of their positions in the segment. This adds multiplications by
    zero, and copies several times fewer values than patches one by one.

    Where the sum of every filter is zero, and pixels are much larger than their
    differences, the pixel in the middle of a segment is subtracted from all its pixels.
    The products are the same, but the rounding errors are those of the differences
    between pixels, not those of bright pixels.

    Parameters
    ----------
    filters : ndarray of shape (n_filters, *patch_shape)
    grid : PatchGrid
    """

    def __init__(self, filters, grid):
        self.grid = grid
        self.n_filters = len(filters)
        self.have_zero_sums = have_zero_sums(filters)
        height, width = grid.kernel
        step, channels = grid.stride[1], grid.image_shape[2]
        n_patches = self.segment_patches = _choose_segment_patches(grid, len(filters))
        self.segment_width = (n_patches - 1) * step + width
        banded = np.zeros(
            (height, self.segment_width, channels, n_patches, self.n_filters),
            dtype=filters.dtype,
        )
        for i in range(n_patches):
            columns = slice(i * step, i * step + width)
            banded[:, columns, :, i] = np.moveaxis(filters, 0, -1)
        self.banded_filters = banded.reshape(-1, n_patches * self.n_filters)
        n_segments = grid.grid_shape[0] * -(-grid.grid_shape[1] // n_patches)
        self.values_per_image = n_segments * sum(self.banded_filters.shape)

    def __call__(self, images, workspace):
        """Return the products.

        Parameters
        ----------
        images : ndarray of shape (n_images, *padded_shape)
        workspace : Workspace

        Returns
        -------
        products : ndarray of shape (n_images, *grid_shape, n_filters)
            In the memory of the workspace.
        """
        subtracts = self.have_zero_sums and _are_bright(images)
        grid_height, grid_width = self.grid.grid_shape
        n_segments, n_remaining = divmod(grid_width, self.segment_patches)
        if n_remaining == 0:
            return self._multiply(images, n_segments, subtracts, workspace)
        shape = (len(images), grid_height, grid_width, self.n_filters)
        products = workspace.array("products", shape, self.banded_filters.dtype)
        n_covered = n_segments * self.segment_patches
        products[:, :, :n_covered] = self._multiply(
            images, n_segments, subtracts, workspace
        )
        # The last segment ends at the last patch, so it overlaps the one before.
        start = (grid_width - self.segment_patches) * self.grid.stride[1]
        last = self._multiply(images[:, :, start:], 1, subtracts, workspace)
        products[:, :, n_covered:] = last[:, :, -n_remaining:]
        return products

    def _multiply(self, images, n_segments, subtracts, workspace):
        """Return the products of the first segments of every row of the grid.

        With `subtracts` the pixel in the middle of each is subtracted.
        """
        n_images, _, _, channels = images.shape
        grid_height, height = self.grid.grid_shape[0], self.grid.kernel[0]
        down, right = self.grid.stride
        by_image, by_row, by_column, _ = images.strides
        by_segment = self.segment_patches * right * by_column
        width = self.segment_width * channels
        segments = as_strided(
            images,
            (n_images, grid_height, n_segments, height, width),
            (by_image, down * by_row, by_segment, by_row, by_column // channels),
            writeable=False,
        )
        n_rows, dtype = n_images * grid_height * n_segments, self.banded_filters.dtype
        copied = workspace.array("segments", (n_rows, len(self.banded_filters)), dtype)
        np.copyto(copied.reshape(segments.shape), segments)
        if subtracts:
            middle = height // 2 * width + width // 2
            copied -= copied[:, middle, None].copy()
        shape = (n_rows, self.banded_filters.shape[1])
        products = workspace.array("segment products", shape, dtype)
        np.matmul(copied, self.banded_filters, out=products)
        return products.reshape(n_images, grid_height, -1, self.n_filters)


def have_zero_sums(filters):
    """Return whether the sum of every filter is zero, up to the rounding of entries."""
    rows = filters.reshape(len(filters), -1).astype(np.float64)
    rounding_errors = np.finfo(filters.dtype).eps * np.abs(rows).sum(axis=1)
    return bool(np.all(np.abs(rows.sum(axis=1)) <= rounding_errors))


def _are_bright(images):
    """Return whether pixels are much larger than the differences of neighbors."""
    differences = np.diff(images, axis=2 if images.shape[2] > 1 else 1)
    mean_squares = [
        float(np.vdot(values, values)) / max(values.size, 1)
        for values in (np.ascontiguousarray(images), differences)
    ]
    return mean_squares[0] > MAX_LEVEL**2 * mean_squares[1]


def _choose_segment_patches(grid, n_filters):
    """Return the number of patches in a segment with the lowest estimated cost."""
    height, width = grid.kernel
    channels = grid.image_shape[2]
    grid_width = grid.grid_shape[1]
    best, min_cost = 1, np.inf
    for n_patches in range(1, min(grid_width, MAX_SEGMENT_PATCHES) + 1):
        segment_width = (n_patches - 1) * grid.stride[1] + width
        n_segments = -(-grid_width // n_patches)
        n_copied = height * (segment_width * channels + ROW_COPY_COST)
        n_multiplied = height * segment_width * channels * n_patches * max(n_filters, 4)
        cost = n_segments * (COPY_COST * n_copied + n_multiplied)
        if cost < min_cost * 0.98:
            best, min_cost = n_patches, cost
    return best
