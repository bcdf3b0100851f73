"""How good and how fast are denoising and inpainting by sparse codes of patches?

PSNR, SSIM and seconds on the five classic grey images (house, peppers, lena, barbara,
boat) of the folder SKSCN_DATA, noise of fixed seeds, all methods on one thread and with
the noise known. Without the folder, crops of scikit-learn's two sample images serve.

    python bench_denoising.py                 # skscn beside quick peers
    python bench_denoising.py --only peers    # K-SVD, dictionary learning, BM3D
    python bench_denoising.py --only inpaint  # beside biharmonic functions
    python bench_denoising.py --only large    # 50 megapixels, two workers

The slow peers take a minute an image: `--sigmas 25 --images house --skip MiniBatch`
runs some of them.
"""

import argparse
import time
import warnings
from functools import partial

import numpy as np
from _data import classics
from _measure import (
    at_least,
    at_most,
    note,
    optional,
    peak_memory,
    print_machine,
    table,
)
from scipy.fft import dct
from sklearn.datasets import load_sample_image
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.feature_extraction.image import (
    extract_patches_2d,
    reconstruct_from_patches_2d,
)
from threadpoolctl import threadpool_limits

from skscn import OrthogonalSparseCoder, denoise_image, inpaint_image

PACKAGES = ("numpy", "scipy", "scikit-learn", "scikit-image", "dictlearn", "bm3d")
SIGMAS = (10, 20, 25, 50)
TV_WEIGHTS = (0.5, 0.7, 0.9, 1.2)  # by sigma; the best is reported
MEGAPIXELS = (7072, 7072)
BUDGETS = {"minutes": 10, "memory by image": 6, "times faster than K-SVD": 50}

restoration, metrics = optional("skimage.restoration"), optional("skimage.metrics")
dictlearn, bm3d = optional("dictlearn"), optional("bm3d")


def photographs(side):
    """Return grey crops of scikit-learn's sample images."""
    china, flower = (load_sample_image(f"{name}.jpg") for name in ("china", "flower"))
    return {
        "china": china[150 : 150 + side, 100 : 100 + side].mean(axis=2),
        "flower": flower[100 : 100 + side, 200 : 200 + side].mean(axis=2),
    }


def cosines(side):
    waves = dct(np.eye(side), axis=0, norm="ortho")
    return np.kron(waves, waves)


def by_cosines(noisy, sigma):
    """Run the first pass of skscn with a dictionary that is not learned."""
    coder = OrthogonalSparseCoder(
        prior="spike_slab", alpha=2.7, center=False, init=cosines(10), max_iter=0
    )
    return denoise_image(noisy, sigma, coder, n_refinements=0)


def total_variation(noisy, sigma, weight):
    weight *= sigma / 255
    return 255 * restoration.denoise_tv_chambolle(noisy / 255, weight=weight)


def wavelets(noisy, sigma):
    return 255 * restoration.denoise_wavelet(
        noisy / 255, sigma=sigma / 255, method="BayesShrink", rescale_sigma=True
    )


def non_local_means(noisy, sigma):
    return restoration.denoise_nl_means(
        noisy, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma
    )


def patches_of(noisy, side):
    rows = extract_patches_2d(noisy, (side, side)).reshape(-1, side * side)
    means = rows.mean(axis=1, keepdims=True)
    return rows - means, means


def mini_batches(noisy, sigma):
    """As in scikit-learn's gallery: 50 atoms of 7×7, two of them for a patch."""
    rows, means = patches_of(noisy, 7)
    sample = np.random.default_rng(0).permutation(rows)[:20_000]
    learner = MiniBatchDictionaryLearning(
        50,
        batch_size=200,
        alpha=1.0,
        max_iter=10,
        transform_algorithm="omp",
        transform_n_nonzero_coefs=2,
        random_state=0,
    )
    learner.fit(sample / sample.std(axis=0))
    rebuilt = learner.transform(rows) @ learner.components_ + means
    return reconstruct_from_patches_2d(rebuilt.reshape(-1, 7, 7), noisy.shape)


def pursuit(rows, atoms, error):
    """Code rows up to a squared error; those that are smaller need no atom."""
    codes = np.zeros((len(rows), len(atoms)))
    # dictlearn takes an atom even there, which costs 0.8 dB.
    large = np.einsum("ij,ij->i", rows, rows) > error
    codes[large] = dictlearn.sparse_encode(
        rows[large], atoms, algorithm="omp", tol=error
    )
    return codes


def k_svd(noisy, sigma, n_iter=10):
    """Elad and Aharon, 2006: 256 atoms of 8×8, errors of 1.15 sigma, λ = 30 / sigma."""
    rows, means = patches_of(noisy, 8)
    error = 64 * (1.15 * sigma) ** 2
    waves = np.cos(np.outer(np.arange(8), np.arange(16)) * np.pi / 16)
    waves[:, 1:] -= waves[:, 1:].mean(axis=0)
    waves /= np.linalg.norm(waves, axis=0)
    atoms = np.kron(waves, waves).T
    sample = np.random.default_rng(0).permutation(rows)[:40_000]
    for i in range(n_iter):
        codes = pursuit(sample, atoms, error)
        learner = dictlearn.DictionaryLearning(
            len(atoms),
            fit_algorithm="aksvd",
            n_nonzero_coefs=1,  # of codes that are not used
            max_iter=1,
            dict_init=atoms,
            code_init=codes,
            random_state=i,
        )
        atoms = learner.fit(sample).components_
    codes = pursuit(rows, atoms, error)
    rebuilt = (codes @ atoms + means).reshape(-1, 8, 8)
    mean = reconstruct_from_patches_2d(rebuilt, noisy.shape)
    covered = (np.convolve(np.ones(n - 7), np.ones(8)) for n in noisy.shape)
    count = np.outer(*covered)
    weight = 30 / sigma
    return (weight * noisy + count * mean) / (weight + count)


def block_matching(noisy, sigma):
    return 255 * bm3d.bm3d(noisy / 255, sigma / 255)


FAST = {
    "patch_size": 9,
    "stride": 2,
    "n_refinements": 2,
    "n_classes": 16,
    "max_patches": 6_000,
}
OWN = {
    "skscn": denoise_image,
    "skscn, fast": partial(denoise_image, **FAST),
    "skscn, first pass": partial(denoise_image, n_refinements=0),
    "cosines, first pass": by_cosines,
}


def quick_peers():
    """Return scikit-image's methods, of total variation one for every weight."""
    if restoration is None:
        return {"scikit-image": None}
    methods = {
        f"TV, weight {w} sigma": partial(total_variation, weight=w) for w in TV_WEIGHTS
    }
    return methods | {
        "wavelets, BayesShrink": wavelets,
        "non-local means": non_local_means,
    }


def slow_peers():
    return {
        "dictlearn, K-SVD": dictlearn and k_svd,
        "scikit-learn, MiniBatch + OMP(2)": mini_batches,
        "BM3D": bm3d and block_matching,
    }


def kept(methods, skip):
    """Return the methods whose names do not hold what is to be skipped."""
    return {name: m for name, m in methods.items() if not skip or skip not in name}


def psnr(found, image):
    error = np.mean((np.clip(found, 0, 255) - image.astype(float)) ** 2)
    return 10 * np.log10(255**2 / error)


def ssim(found, image):
    if metrics is None:
        return np.nan
    found = np.clip(found, 0, 255).astype(float)
    return metrics.structural_similarity(found, image.astype(float), data_range=255)


def timed(method, *arguments):
    start = time.perf_counter()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers' own
        found = method(*arguments)
    return found, time.perf_counter() - start


def denoising(images, sigmas, methods):
    """Run all methods on all images; return mean PSNR and seconds of each."""
    summary = {}
    for sigma in sigmas:
        rows = {}
        for i, image in enumerate(images.values()):
            noise = np.random.default_rng(i).normal(scale=sigma, size=image.shape)
            noisy = image + noise
            for name, method in methods.items():
                if method is None:
                    rows[name] = None
                    continue
                given = noisy.astype(np.float32) if name in OWN else noisy
                found, seconds = timed(method, given, sigma)
                figures = psnr(found, image), ssim(found, image), seconds
                rows.setdefault(name, []).append(figures)
        cells = []
        for name, figures in rows.items():
            if figures is None:
                cells.append([name])
                continue
            figures = np.array(figures)
            mean = figures.mean(axis=0)
            summary[name, sigma] = mean[0], mean[2]
            cells.append(
                [
                    name,
                    *(f"{value:.2f}" for value in figures[:, 0]),
                    f"{mean[0]:.2f}",
                    f"{mean[1]:.3f}",
                    f"{mean[2]:.2f}",
                ]
            )
        columns = ["PSNR in dB", *images, "mean", "SSIM", "seconds"]
        table(f"Noise of sigma = {sigma}", columns, cells)
    return summary


def against_k_svd(summary, sigmas):
    for sigma in sigmas:
        quality, seconds = summary.get(("dictlearn, K-SVD", sigma), (np.nan, np.nan))
        for name in ("skscn", "skscn, fast"):
            own, own_seconds = summary[name, sigma]
            at_least(0.0, own - quality, f"sigma {sigma}: dB of {name} beyond K-SVD")
            limit = BUDGETS["times faster than K-SVD"]
            at_least(
                limit, seconds / own_seconds, f"sigma {sigma}: times faster, {name}"
            )


def inpainting(images, n_passes):
    """Fill in pixels missing at random, and a grid of scratches."""
    for title, share in (("50 %", 0.5), ("80 %", 0.8), ("scratches", None)):
        rows = []
        for i, (name, image) in enumerate(images.items()):
            rng = np.random.default_rng(i)
            missing = rng.random(image.shape) < (share or 0)
            if share is None:
                missing[5::24, :] = missing[:, 9::31] = missing[6::24, :] = True
            holed = np.where(missing, 0, image)
            found, seconds = timed(
                partial(inpaint_image, n_passes=n_passes),
                holed.astype(np.float32),
                missing,
            )
            row = [name, f"{psnr(found, image):.2f}", f"{seconds:.1f}"]
            if restoration is not None:
                peer = restoration.inpaint_biharmonic
                found, seconds = timed(peer, holed / 255, missing)
                row += [f"{psnr(255 * found, image):.2f}", f"{seconds:.1f}"]
            rows.append(row)
        columns = ["missing: " + title, "skscn", "seconds", "biharmonic", "seconds"]
        table(f"Inpainting, PSNR in dB, missing: {title}", columns, rows)


def large(shape):
    """Denoise an image of many pixels in this process, and tell its peak memory."""
    tile = photographs(256)["china"].astype(np.float32)
    repeats = [-(-n // 256) for n in shape]
    image = np.tile(tile, repeats)[: shape[0], : shape[1]].copy()
    rng = np.random.default_rng(0)
    for row in image:  # noise of the whole image would be in the peak
        row += rng.normal(scale=25, size=shape[1]).astype(np.float32)
    before, start = peak_memory(), time.perf_counter()
    denoise_image(image, 25, n_jobs=2)
    minutes = (time.perf_counter() - start) / 60
    own = image.nbytes / 2**20
    note(
        f"{image.size / 1e6:.1f} megapixels of float32, {own:.0f} MB, two workers: "
        f"{minutes:.2f} minutes, peak memory {peak_memory():.0f} MB, of which "
        f"{before:.0f} MB before."
    )
    at_most(BUDGETS["minutes"], minutes, "minutes")
    # Of a small image the interpreter's own memory is many times as much.
    at_most(BUDGETS["memory by image"], peak_memory() / own, "peak memory by image")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="end in seconds")
    parser.add_argument("--only", choices=("denoise", "peers", "inpaint", "large"))
    parser.add_argument("--sigmas", type=int, nargs="+", default=SIGMAS)
    parser.add_argument("--images", nargs="+", help="names of some of the images")
    parser.add_argument("--skip", help="leave out methods whose names hold this")
    options = parser.parse_args()
    print_machine(PACKAGES)
    images = classics() or photographs(256)
    sigmas, passes, shape = options.sigmas, 25, MEGAPIXELS
    if options.quick:
        images, sigmas, passes, shape = photographs(48), (25,), 3, (300, 200)
    if options.images:
        images = {name: images[name] for name in options.images}
    if options.only in (None, "denoise"):
        denoising(images, sigmas, kept(OWN | quick_peers(), options.skip))
    if options.only == "peers" or options.quick:
        own = {name: OWN[name] for name in ("skscn", "skscn, fast")}
        skip = "MiniBatch" if options.quick else options.skip
        summary = denoising(images, sigmas, kept(own | slow_peers(), skip))
        against_k_svd(summary, sigmas)
    if options.only == "inpaint" or options.quick:
        inpainting(images, passes)
    if options.only == "large" or options.quick:
        large(shape)


if __name__ == "__main__":
    main()
