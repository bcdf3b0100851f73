"""
How much memory does a file need?
=================================

Learning reads its data through sums over samples, a few thousand at a time. An array on
disk is therefore as good as one in memory, and results may go to disk as well. Here a
file of patches of two photographs is learned from and coded without ever being loaded,
beside the same work in memory.
"""

# %%
# All patches of 8×8 pixels of two photographs, written as bytes. The file could be of
# any size: only the patches of one row of the picture are in memory at a time.

import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.format import open_memmap
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.datasets import load_sample_images

from skscn import OrthogonalSparseCoder, map_blocks

SIDE = 8
folder = TemporaryDirectory()
photographs = [
    image.mean(axis=2).astype(np.uint8) for image in load_sample_images().images
]
windows = [sliding_window_view(image, (SIDE, SIDE)) for image in photographs]
n_patches = sum(w.shape[0] * w.shape[1] for w in windows)
file = open_memmap(
    Path(folder.name) / "patches.npy", "w+", dtype=np.uint8, shape=(n_patches, SIDE**2)
)
start = 0
for w in windows:
    for row in w:
        file[start : start + len(row)] = row.reshape(len(row), -1)
        start += len(row)
file.flush()
patches = np.load(Path(folder.name) / "patches.npy", mmap_mode="r")
print(f"{len(patches):,} patches, {patches.nbytes / 2**20:.0f} MB of bytes")

# %%
# The same coder, twice. Given the file, it reads slices of it as floats. `map_blocks`
# writes codes to a new file, block by block. In memory, all patches are floats first:
# the eightfold of their bytes, and their codes come on top.


def new_coder():
    """Return a coder of 16 atoms that keeps what is beyond 30 of 255 grey levels."""
    return OrthogonalSparseCoder(16, prior="spike_slab", alpha=30.0, tol=1e-2)


def with_file(file):
    """Learn and code on disk."""
    coder = new_coder().fit(file)
    return coder, map_blocks(coder, file, out=f"{folder.name}/codes.npy")


def load_in_memory(file):
    """Learn and code in memory."""
    X = file.astype(np.float64)
    coder = new_coder().fit(X)
    return coder, coder.transform(X)


def watched(function, file):
    """Return seconds, megabytes at these times, and the result of a call."""
    times, megabytes, done = [], [], Event()
    tracemalloc.start()
    begin = perf_counter()

    def look():
        while not done.wait(0.01):
            times.append(perf_counter() - begin)
            megabytes.append(tracemalloc.get_traced_memory()[0] / 2**20)

    watch = Thread(target=look)
    watch.start()
    result = function(file)
    done.set()
    watch.join()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return times, megabytes, peak, result


file_times, file_megabytes, file_peak, (coder, codes) = watched(with_file, patches)
times, megabytes, peak, (other, codes_at_hand) = watched(load_in_memory, patches)
print(f"at most {file_peak:.0f} MB with the file, {peak:.0f} MB in memory")

# %%
# It is the same dictionary to the last bit, and these are the same codes.

assert np.array_equal(coder.components_, other.components_)
assert np.allclose(codes, codes_at_hand)

# %%
# The memory of both over time, and the photographs as their codes on disk rebuild them,
# 16 atoms a patch of 64 pixels. They too are read row by row.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=[1.3, 1, 1])
axes[0].fill_between(times, megabytes, color="tab:red", alpha=0.3, label="in memory")
axes[0].fill_between(
    file_times, file_megabytes, color="tab:blue", label="with the file"
)
axes[0].set(xlabel="seconds", ylabel="MB of arrays", title="Learning and coding")
axes[0].legend(loc="upper right")
start = 0
for ax, w in zip(axes[1:], windows, strict=True):
    height, width = w.shape[:2]
    total, count = np.zeros((2, height + SIDE - 1, width + SIDE - 1))
    for i in range(height):
        rebuilt = coder.inverse_transform(codes[start : start + width])
        for pixel, (down, right) in enumerate(np.ndindex(SIDE, SIDE)):
            total[i + down, right : right + width] += rebuilt[:, pixel]
            count[i + down, right : right + width] += 1
        start += width
    ax.imshow(total / count, cmap="gray", vmin=0, vmax=255)
    ax.axis("off")
zeros = np.mean(
    [np.mean(codes[i : i + 10_000] == 0) for i in range(0, n_patches, 50_000)]
)
axes[1].set_title(f"From the file of codes, {zeros:.0%} zeros", loc="left", fontsize=10)
figure.tight_layout()
plt.show()

# %%
# The curve of the file is flat: it would look the same for a file of a terabyte, only
# longer. See :ref:`scaling` for Zarr and HDF5, clusters and GPUs.

del patches, file, codes
folder.cleanup()
