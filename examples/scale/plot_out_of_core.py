"""
How much memory does learning from a file need?
===============================================

Learning needs only sums over samples, which are computed from a few thousand samples at
a time. A coder can therefore be fitted to an array on disk, and the codes can be
written to disk as well. This example fits a coder to a file of patches of two
photographs, codes them, and compares the memory with the same computation on an array
in memory.
"""

# %%
# The file holds all patches of 8×8 pixels of the two photographs as bytes. It is
# written row by row of the photographs, so that few patches are in memory at a time.

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
n_patches = sum(view.shape[0] * view.shape[1] for view in windows)
file = open_memmap(
    Path(folder.name) / "patches.npy", "w+", dtype=np.uint8, shape=(n_patches, SIDE**2)
)
start = 0
for view in windows:
    for row in view:
        file[start : start + len(row)] = row.reshape(len(row), -1)
        start += len(row)
file.flush()
patches = np.load(Path(folder.name) / "patches.npy", mmap_mode="r")
print(f"{len(patches):,} patches, {patches.nbytes / 2**20:.0f} MB")

# %%
# The coder is fitted twice. If it is given the file, it reads slices of rows and
# converts them to floats, and `map_blocks` writes the codes to a new file, block by
# block. In the second case all patches are first converted to an array of floats in
# memory, which is eight times as large as the file. The codes need additional memory.


def new_coder():
    """Return a coder of 16 atoms with a threshold of 30 of 255 gray levels."""
    return OrthogonalSparseCoder(16, prior="spike_slab", alpha=30.0, tol=1e-2)


def code_on_disk(file):
    """Fit a coder to the file and write the codes to another file."""
    coder = new_coder().fit(file)
    return coder, map_blocks(coder, file, out=f"{folder.name}/codes.npy")


def code_in_memory(file):
    """Load the file, fit a coder to the array, and return the codes as an array."""
    X = file.astype(np.float64)
    coder = new_coder().fit(X)
    return coder, coder.transform(X)


def trace_memory(function, file):
    """Return times, megabytes at these times, their maximum, and the result."""
    times, megabytes, done = [], [], Event()
    tracemalloc.start()
    start = perf_counter()

    def record():
        while not done.wait(0.01):
            times.append(perf_counter() - start)
            megabytes.append(tracemalloc.get_traced_memory()[0] / 2**20)

    recorder = Thread(target=record)
    recorder.start()
    result = function(file)
    done.set()
    recorder.join()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return times, megabytes, peak, result


disk_times, disk_megabytes, disk_peak, (coder, codes) = trace_memory(
    code_on_disk, patches
)
times, megabytes, peak, (coder_in_memory, codes_in_memory) = trace_memory(
    code_in_memory, patches
)
print(f"maximum: {disk_peak:.0f} MB on disk, {peak:.0f} MB in memory")

# %%
# The dictionaries are equal to the last bit, and the codes are equal.

assert np.array_equal(coder.components_, coder_in_memory.components_)
assert np.allclose(codes, codes_in_memory)

# %%
# The figure shows the memory of both over time, and the photographs as reconstructed
# from the codes on disk, with at most 16 atoms for a patch of 64 pixels. The codes are
# read row by row as well.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=[1.3, 1, 1])
axes[0].fill_between(times, megabytes, color="tab:red", alpha=0.3, label="in memory")
axes[0].fill_between(disk_times, disk_megabytes, color="tab:blue", label="on disk")
axes[0].set(xlabel="seconds", ylabel="MB of arrays", title="Learning and coding")
axes[0].legend(loc="upper right")
start = 0
for ax, view in zip(axes[1:], windows, strict=True):
    height, width = view.shape[:2]
    sums, counts = np.zeros((2, height + SIDE - 1, width + SIDE - 1))
    for i in range(height):
        reconstructions = coder.inverse_transform(codes[start : start + width])
        for pixel, (row, column) in enumerate(np.ndindex(SIDE, SIDE)):
            sums[i + row, column : column + width] += reconstructions[:, pixel]
            counts[i + row, column : column + width] += 1
        start += width
    ax.imshow(sums / counts, cmap="gray", vmin=0, vmax=255)
    ax.axis("off")
zero_fraction = np.mean(
    [np.mean(codes[i : i + 10_000] == 0) for i in range(0, n_patches, 50_000)]
)
axes[1].set_title(
    f"Reconstruction, {zero_fraction:.0%} of codes zero", loc="left", fontsize=10
)
figure.tight_layout()
plt.show()

# %%
# With the file, memory does not grow with time, and does not depend on the size of the
# file. See :ref:`scaling` for Zarr and HDF5, clusters and GPUs.

del patches, file, codes
folder.cleanup()
