"""How well and how fast do sparse codes of patches denoise and inpaint images?

Gray images, color photographs, volumes, missing pixels, and a mixture of dictionaries
that has learned from clean photographs. The noise has fixed seeds and a known standard
deviation, and all methods use one thread. The gray images are the five classic ones
(house, peppers, lena, barbara, boat) in the folder SKSCN_DATA, or else crops of
scikit-learn's two sample images.

Two parts run only by name: `--only large`, an image of 50 megapixels with two workers,
and `--only slow`, K-SVD and other dictionary learning, a minute per image. Options such
as `--sigmas 25 --images house --skip MiniBatch` narrow the latter.
"""

import warnings
from functools import partial

import numpy as np
from _data import (
    load_classic_images,
    load_photographs_to_learn_from,
    load_scans,
    make_phantom,
)
from _measure import (
    import_optional,
    make_parser,
    peak_memory,
    print_at_least,
    print_at_most,
    print_environment,
    print_note,
    print_table,
    timed,
)
from scipy.fft import dct
from sklearn.datasets import load_sample_image
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.feature_extraction.image import (
    extract_patches_2d,
    reconstruct_from_patches_2d,
)
from threadpoolctl import threadpool_limits

from skscn import (
    OrthogonalSparseCoder,
    SparseCodingMixture,
    denoise_image,
    inpaint_image,
    iter_patches,
)

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "dictlearn",
    "bm3d",
    "bm4d",
)
DEFAULT_PARTS = ("gray", "color", "volumes", "inpaint", "mixture")
SIGMAS = (10, 20, 25, 50)
VOLUME_SIGMAS = (15, 30)
TV_WEIGHTS = (0.5, 0.7, 0.9, 1.2)  # in units of sigma
VOLUME_TV_WEIGHTS = (0.4, 0.6, 0.8, 1.1, 1.5)
MIN_VOLUME_GAIN = 0.5  # dB, over slices
LARGE_SHAPE = (7072, 7072)  # 50 megapixels
MAX_MINUTES = 10  # for the large image
MAX_MEMORY_RATIO = 6  # peak memory by the size of the large image
MIN_SPEEDUP = 50  # over K-SVD
MIXTURE_SIDE = 8  # of the patches of the mixture
MIXTURE_SIGMAS = (25, 50)
MAX_PHOTOGRAPHS = 8  # to test the mixture on
MIN_MIXTURE_GAIN = 0.2  # dB, over dictionaries that are learned from the noisy image

restoration = import_optional("skimage.restoration")
metrics = import_optional("skimage.metrics")
dictlearn = import_optional("dictlearn")
bm3d = import_optional("bm3d")
bm4d = import_optional("bm4d")


def load_photographs(side):
    """Return gray crops of scikit-learn's sample images."""
    china, flower = (load_sample_image(f"{name}.jpg") for name in ("china", "flower"))
    return {
        "china": china[150 : 150 + side, 100 : 100 + side].mean(axis=2),
        "flower": flower[100 : 100 + side, 200 : 200 + side].mean(axis=2),
    }


def dct_dictionary(side):
    waves = dct(np.eye(side), axis=0, norm="ortho")
    return np.kron(waves, waves)


def denoise_dct(noisy, sigma):
    """Run the first pass of skscn with a DCT dictionary."""
    coder = OrthogonalSparseCoder(
        prior="spike_slab",
        alpha=2.7,
        center=False,
        init=dct_dictionary(10),
        max_iter=0,
    )
    return denoise_image(noisy, sigma, coder, patch_size=10, n_refinements=0)


def denoise_total_variation(noisy, sigma, weight):
    weight *= sigma / 255
    return 255 * restoration.denoise_tv_chambolle(noisy / 255, weight=weight)


def denoise_wavelets(noisy, sigma):
    return 255 * restoration.denoise_wavelet(
        noisy / 255, sigma=sigma / 255, method="BayesShrink", rescale_sigma=True
    )


def denoise_non_local_means(noisy, sigma):
    return restoration.denoise_nl_means(
        noisy, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma
    )


def centered_patches(noisy, side):
    """Return all patches without their means, and the means."""
    rows = extract_patches_2d(noisy, (side, side)).reshape(-1, side * side)
    means = rows.mean(axis=1, keepdims=True)
    return rows - means, means


def denoise_mini_batch(noisy, sigma):
    """Code patches by two of 50 atoms of 7×7, as in scikit-learn's gallery."""
    rows, means = centered_patches(noisy, 7)
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
    reconstructions = learner.transform(rows) @ learner.components_ + means
    return reconstruct_from_patches_2d(reconstructions.reshape(-1, 7, 7), noisy.shape)


def encode_omp(rows, atoms, max_error):
    """Code rows by orthogonal matching pursuit up to a squared error."""
    codes = np.zeros((len(rows), len(atoms)))
    # dictlearn uses an atom even for rows below the error, which costs 0.8 dB.
    is_large = np.einsum("ij,ij->i", rows, rows) > max_error
    codes[is_large] = dictlearn.sparse_encode(
        rows[is_large], atoms, algorithm="omp", tol=max_error
    )
    return codes


def denoise_k_svd(noisy, sigma, n_iter=10):
    """Elad and Aharon, 2006: 256 atoms of 8×8, errors of 1.15 sigma, λ = 30 / sigma."""
    rows, means = centered_patches(noisy, 8)
    max_error = 64 * (1.15 * sigma) ** 2
    waves = np.cos(np.outer(np.arange(8), np.arange(16)) * np.pi / 16)
    waves[:, 1:] -= waves[:, 1:].mean(axis=0)
    waves /= np.linalg.norm(waves, axis=0)
    atoms = np.kron(waves, waves).T
    sample = np.random.default_rng(0).permutation(rows)[:40_000]
    for i in range(n_iter):
        codes = encode_omp(sample, atoms, max_error)
        learner = dictlearn.DictionaryLearning(
            len(atoms),
            fit_algorithm="aksvd",
            n_nonzero_coefs=1,  # of codes that are not used here
            max_iter=1,
            dict_init=atoms,
            code_init=codes,
            random_state=i,
        )
        atoms = learner.fit(sample).components_
    codes = encode_omp(rows, atoms, max_error)
    reconstructions = (codes @ atoms + means).reshape(-1, 8, 8)
    mean = reconstruct_from_patches_2d(reconstructions, noisy.shape)
    n_patches = np.outer(
        *(np.convolve(np.ones(n - 7), np.ones(8)) for n in noisy.shape)
    )
    weight = 30 / sigma
    return (weight * noisy + n_patches * mean) / (weight + n_patches)


def denoise_bm3d(noisy, sigma):
    denoise = bm3d.bm3d if noisy.ndim == 2 else bm3d.bm3d_rgb
    return 255 * denoise(noisy / 255, sigma / 255)


def denoise_bm4d(noisy, sigma):
    return 255 * bm4d.bm4d(noisy / 255, sigma / 255)


def denoise_slices(noisy, sigma):
    return np.stack([denoise_image(image, sigma) for image in noisy])


def denoise_non_local_means_of_volume(noisy, sigma):
    return restoration.denoise_nl_means(
        noisy, patch_size=3, patch_distance=4, h=0.8 * sigma, sigma=sigma
    )


FAST_OPTIONS = {
    "patch_size": 9,
    "stride": 2,
    "n_refinements": 2,
    "n_classes": 16,
    "max_patches": 6_000,
}
SKSCN_METHODS = {
    "skscn": denoise_image,
    "skscn, fast": partial(denoise_image, **FAST_OPTIONS),
    "skscn, first pass": partial(denoise_image, n_refinements=0),
    "DCT, first pass": denoise_dct,
}
SKSCN_VOLUME_METHODS = {
    "skscn, volume": denoise_image,
    "skscn, slice by slice": denoise_slices,
}
SINGLE_PRECISION = {*SKSCN_METHODS, *SKSCN_VOLUME_METHODS}


def fast_methods():
    """Return BM3D and methods of scikit-image; total variation with several weights."""
    methods = {"BM3D": bm3d and denoise_bm3d}
    if restoration is None:
        return methods | {"scikit-image": None}
    methods |= {
        f"TV, weight {w} sigma": partial(denoise_total_variation, weight=w)
        for w in TV_WEIGHTS
    }
    return methods | {
        "wavelets, BayesShrink": denoise_wavelets,
        "non-local means": denoise_non_local_means,
    }


def slow_methods():
    return {
        "dictlearn, K-SVD": dictlearn and denoise_k_svd,
        "scikit-learn, MiniBatch + OMP(2)": denoise_mini_batch,
    }


def skip_methods(methods, text):
    """Return the methods whose names do not contain a text."""
    return {name: m for name, m in methods.items() if not text or text not in name}


def psnr(estimate, image):
    error = np.mean((np.clip(estimate, 0, 255) - image.astype(float)) ** 2)
    return 10 * np.log10(255**2 / error)


def ssim(estimate, image):
    if metrics is None:
        return np.nan
    estimate, image = np.clip(estimate, 0, 255).astype(float), image.astype(float)
    is_color = image.ndim == 3 and image.shape[2] == 3
    return metrics.structural_similarity(
        estimate, image, data_range=255, channel_axis=-1 if is_color else None
    )


def timed_on_one_thread(method, *arguments):
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other libraries
        return timed(method, *arguments)


def compare_denoising(kind, images, sigmas, methods):
    """Print all methods on all images; return the mean PSNR and seconds of each."""
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
                X = noisy.astype(np.float32) if name in SINGLE_PRECISION else noisy
                estimate, seconds = timed_on_one_thread(method, X, sigma)
                values = psnr(estimate, image), ssim(estimate, image), seconds
                rows.setdefault(name, []).append(values)
        cells = []
        for name, values in rows.items():
            if values is None:
                cells.append([name])
                continue
            values = np.array(values)
            mean = values.mean(axis=0)
            summary[name, sigma] = mean[0], mean[2]
            cells.append(
                [
                    name,
                    *(f"{value:.2f}" for value in values[:, 0]),
                    f"{mean[0]:.2f}",
                    f"{mean[1]:.3f}",
                    f"{mean[2]:.2f}",
                ]
            )
        columns = ["PSNR in dB", *images, "mean", "SSIM", "seconds"]
        print_table(f"{kind}, noise of sigma = {sigma}", columns, cells)
    return summary


def compare_slow(images, sigmas, skip):
    """Print how much better and faster than K-SVD the methods of skscn are."""
    methods = {name: SKSCN_METHODS[name] for name in ("skscn", "skscn, fast")}
    methods = skip_methods(methods | slow_methods(), skip)
    summary = compare_denoising("Gray images", images, sigmas, methods)
    for sigma in sigmas:
        k_svd, k_svd_seconds = summary.get(
            ("dictlearn, K-SVD", sigma), (np.nan, np.nan)
        )
        for name in ("skscn", "skscn, fast"):
            psnr, seconds = summary[name, sigma]
            title = f"sigma {sigma}, {name}"
            print_at_least(0.0, psnr - k_svd, f"{title}: dB above K-SVD")
            speedup = k_svd_seconds / seconds
            print_at_least(MIN_SPEEDUP, speedup, f"{title}: times faster than K-SVD")


def compare_inpainting(images, n_passes):
    """Print the quality for pixels missing at random, and for a grid of scratches."""
    inpaint = partial(inpaint_image, n_passes=n_passes)
    for title, fraction in (("50 %", 0.5), ("80 %", 0.8), ("scratches", None)):
        rows = []
        for i, (name, image) in enumerate(images.items()):
            rng = np.random.default_rng(i)
            missing = rng.random(image.shape) < (fraction or 0)
            if fraction is None:
                missing[5::24, :] = missing[:, 9::31] = missing[6::24, :] = True
            masked = np.where(missing, 0, image)
            estimate, seconds = timed_on_one_thread(
                inpaint, masked.astype(np.float32), missing
            )
            row = [name, f"{psnr(estimate, image):.2f}", f"{seconds:.1f}"]
            if restoration is not None:
                estimate, seconds = timed_on_one_thread(
                    restoration.inpaint_biharmonic, masked / 255, missing
                )
                row += [f"{psnr(255 * estimate, image):.2f}", f"{seconds:.1f}"]
            rows.append(row)
        columns = ["missing: " + title, "skscn", "seconds", "biharmonic", "seconds"]
        print_table(f"Inpainting, PSNR in dB, missing: {title}", columns, rows)


def compare_with_mixture(sigmas, n_dictionaries, n_patches):
    """Print what a mixture gains that has learned from other photographs."""
    photographs, images = load_photographs_to_learn_from()
    images = images[:MAX_PHOTOGRAPHS]
    patches = iter_patches(
        photographs,
        MIXTURE_SIDE,
        max_patches=n_patches // len(photographs),
        batch_size=n_patches,
        center=True,
        dtype=np.float32,
        random_state=0,
    )
    mixture = SparseCodingMixture(n_dictionaries, random_state=0, tol=1e-3, max_iter=30)
    mixture, seconds = timed(mixture.fit, next(patches))
    print_note(
        f"{n_dictionaries} dictionaries were learned from {n_patches:,} patches of "
        f"{len(photographs)} photographs in {seconds:.0f} s."
    )
    mixed = partial(denoise_image, coder=mixture, patch_size=MIXTURE_SIDE)
    methods = {
        "skscn": denoise_image,
        "skscn, mixture, first pass": partial(mixed, n_refinements=0),
        "skscn, mixture": partial(mixed, n_refinements=1),
        "BM3D": bm3d and denoise_bm3d,
    }
    rows = []
    for sigma in sigmas:
        results = {name: [] for name in methods}
        for i, image in enumerate(images):
            noise = np.random.default_rng(i).normal(scale=sigma, size=image.shape)
            noisy = (image + noise).astype(np.float32)
            for name, method in methods.items():
                if method is not None:
                    estimate, seconds = timed_on_one_thread(method, noisy, sigma)
                    results[name].append((psnr(estimate, image), seconds))
        means = {name: np.mean(v, axis=0) for name, v in results.items() if v}
        gain = means["skscn, mixture"][0] - means["skscn"][0]
        print_at_least(MIN_MIXTURE_GAIN, gain, f"sigma {sigma}: dB gained by a mixture")
        for name, (mean, seconds) in means.items():
            rows.append([str(sigma), name, f"{mean:.2f}", f"{seconds:.2f}"])
    columns = ["sigma", "method", "PSNR in dB", "seconds"]
    print_table(f"{len(images)} photographs", columns, rows)


def compare_on_volumes(volumes, sigmas):
    """Print the quality for volumes, next to that of slices and of other packages."""
    methods = SKSCN_VOLUME_METHODS | {"BM4D": bm4d and denoise_bm4d}
    if restoration is not None:
        methods |= {
            f"TV, weight {w} sigma": partial(denoise_total_variation, weight=w)
            for w in VOLUME_TV_WEIGHTS
        }
        methods["wavelets, BayesShrink"] = denoise_wavelets
        methods["non-local means"] = denoise_non_local_means_of_volume
    summary = compare_denoising("Volumes", volumes, sigmas, methods)
    for sigma in sigmas:
        whole, slices = (summary[name, sigma][0] for name in SKSCN_VOLUME_METHODS)
        title = f"sigma {sigma}: dB gained by patches of three axes"
        print_at_least(MIN_VOLUME_GAIN, whole - slices, title)


def compare_colors(sigmas, height, width):
    """Print the PSNR and seconds for color photographs."""
    photographs = {
        name: load_sample_image(f"{name}.jpg")[120 : 120 + height, 200 : 200 + width]
        for name in ("china", "flower")
    }
    color = partial(denoise_image, channel_axis=-1)
    methods = {"skscn": color, "BM3D": bm3d and denoise_bm3d}
    compare_denoising("Color photographs", photographs, sigmas, methods)


def denoise_large_image(shape):
    """Print the time and the peak memory of denoising a large image."""
    tile = load_photographs(256)["china"].astype(np.float32)
    repeats = [-(-n // 256) for n in shape]
    image = np.tile(tile, repeats)[: shape[0], : shape[1]].copy()
    rng = np.random.default_rng(0)
    for row in image:  # row by row, or the noise would count in the peak memory
        row += rng.normal(scale=25, size=shape[1]).astype(np.float32)
    memory_before = peak_memory()
    _, seconds = timed(partial(denoise_image, image, 25, n_jobs=2))
    image_size = image.nbytes / 2**20
    print_note(
        f"{image.size / 1e6:.1f} megapixels of float32, {image_size:.0f} MB, two "
        f"workers: {seconds / 60:.2f} minutes, peak memory {peak_memory():.0f} MB, of "
        f"which {memory_before:.0f} MB were used before."
    )
    print_at_most(MAX_MINUTES, seconds / 60, "minutes")
    # With --quick the interpreter needs much more memory than the image.
    ratio = peak_memory() / image_size
    print_at_most(MAX_MEMORY_RATIO, ratio, "peak memory by the size of the image")


def main():
    parser = make_parser(__doc__)
    parts = (*DEFAULT_PARTS, "large", "slow")
    parser.add_argument("--only", choices=parts, help="run one part")
    parser.add_argument("--sigmas", type=int, nargs="+", default=SIGMAS)
    parser.add_argument("--images", nargs="+", help="names of the images to use")
    parser.add_argument("--skip", help="omit methods whose names contain this text")
    options = parser.parse_args()
    print_environment(PACKAGES)
    quick, sigmas, skip = options.quick, options.sigmas, options.skip
    images = load_classic_images() or load_photographs(256)
    if quick:
        images, sigmas, skip = load_photographs(32), (25,), skip or "MiniBatch"
    if options.images:
        images = {name: images[name] for name in options.images}
    volumes = {"phantom": make_phantom(12 if quick else 64)}
    if not quick:
        volumes |= load_scans()
    methods = skip_methods(SKSCN_METHODS | fast_methods(), skip)
    n_dictionaries, n_patches = (3, 300) if quick else (32, 60_000)
    run = {
        "gray": lambda: compare_denoising("Gray images", images, sigmas, methods),
        "color": lambda: compare_colors(sigmas, *((24, 32) if quick else (240, 320))),
        "volumes": lambda: compare_on_volumes(
            volumes, (25,) if quick else VOLUME_SIGMAS
        ),
        "inpaint": lambda: compare_inpainting(images, 3 if quick else 20),
        "mixture": lambda: compare_with_mixture(
            (25,) if quick else MIXTURE_SIGMAS, n_dictionaries, n_patches
        ),
        "large": lambda: denoise_large_image((90, 80) if quick else LARGE_SHAPE),
        "slow": lambda: compare_slow(images, sigmas, skip),
    }
    chosen = [options.only] if options.only else parts if quick else DEFAULT_PARTS
    for part in chosen:
        run[part]()


if __name__ == "__main__":
    main()
