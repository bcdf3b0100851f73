"""How far do single precision, levels and units of the data change the results?

Data with a known structure are fitted in several ways that should give the same result:
the same numbers in float32 and in float64, after a level of many standard deviations
was added, as 16-bit integers, and after a change of the units, c·X + d. Every quantity
is converted back to the units of the data. A deviation is the largest difference from
the reference, divided by the root mean square of the reference. For means it is the
largest difference in standard deviations of the data, and for log-likelihoods, scores
and explanations the largest difference in nats.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from _measure import (
    import_optional,
    make_parser,
    print_at_most,
    print_environment,
    print_note,
    print_table,
)
from sklearn.exceptions import ConvergenceWarning

from skscn import (
    ConvSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingDetector,
    SparseCodingImputer,
    StreamingRidgeClassifier,
    denoise_image,
    inpaint_image,
    to_onnx,
    to_torch,
)

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "onnxruntime")
LEVELS = (0, 1_000, 100_000)  # in standard deviations of the data
SCALES = (1e-12, 1e12)
LIMITS = (0.2, 0.2, 0.3, 0.03)  # of deviations at these levels, and of integers
PEDESTAL, COUNTS = 60_000, 20  # level and standard deviation of 16-bit integers
N_ATOMS, N_FEATURES = 6, 12


@dataclass(frozen=True)
class Sizes:
    """Sizes of the data."""

    n_rows: int = 4_000
    max_iter: int = 60
    n_images: int = 200
    side: int = 96  # of the image that is restored


QUICK = Sizes(300, 5, 10, 20)


@dataclass(frozen=True)
class Units:
    """Data in other units, c·(X + level), and how to convert results back."""

    scale: float = 1.0
    level: float = 0.0

    def convert(self, X, dtype):
        """Return data in these units, and rounded to a dtype."""
        X = self.scale * (X + self.level)
        return (
            np.rint(X).astype(dtype) if np.dtype(dtype).kind == "u" else X.astype(dtype)
        )

    def restore(self, values):
        """Return values of features in the units of the data."""
        return np.asarray(values, dtype=np.float64) / self.scale - self.level


def make_rows(n_rows):
    """Return rows of Laplace codes, orthonormal atoms and noise, with variance one."""
    rng = np.random.default_rng(0)
    atoms = np.linalg.qr(rng.normal(size=(N_FEATURES, N_ATOMS)))[0].T
    codes = rng.laplace(size=(n_rows, N_ATOMS)) * np.linspace(3, 1, N_ATOMS)
    X = codes @ atoms + 0.3 * rng.normal(size=(n_rows, N_FEATURES))
    return X / X.std()


def make_images(n_images, side):
    """Return smooth images with edges and noise, of variance one."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    images = []
    for _ in range(n_images):
        a, b, c, d = rng.normal(size=4)
        images.append(np.sign(a * x + b * y - 0.3 * (a + b)) + np.sin(6 * (c * x + d)))
    images = np.array(images) + 0.3 * rng.normal(size=(n_images, side, side))
    return images / images.std()


def coder_quantities(X, units, sizes):
    """Return what a coder learns and computes, in the units of the data."""
    c = units.scale
    coder = OrthogonalSparseCoder(
        N_ATOMS, alpha="auto", tol=0, max_iter=sizes.max_iter
    ).fit(X)
    yield "coder: atoms", coder.components_
    yield "coder: means", units.restore(coder.mean_)
    yield "coder: noise variance", coder.noise_variance_ / c / c
    yield "coder: rates of the prior", coder.rate_ * c
    density = np.asarray(coder.score_samples(X), float) + N_FEATURES * np.log(c)
    yield "coder: log-likelihoods, nats", density
    yield "coder: mean log-likelihood, nats", density.mean()
    yield "coder: codes", coder.transform(X) / c
    if X.dtype.kind == "f":
        missing = np.random.default_rng(1).random(X.shape) < 0.2
        incomplete = np.where(missing, X.dtype.type(np.nan), X)
        imputed = SparseCodingImputer(coder).fit(incomplete).transform(incomplete)
        yield "imputer: imputed values", units.restore(imputed[missing])


def exported_quantities(X, units, sizes):
    """Return the codes of an exported coder, in the units of the data."""
    if X.dtype.kind != "f":
        return
    coder = OrthogonalSparseCoder(N_ATOMS, alpha=0.5 * units.scale).fit(X)
    if torch := import_optional("torch"):
        module = to_torch(coder, dtype=X.dtype.name)
        with torch.no_grad():
            codes = module(torch.as_tensor(X)).numpy()
        yield "torch module: codes", codes / units.scale
    runtime = import_optional("onnxruntime")
    if runtime and import_optional("skl2onnx"):
        graph = to_onnx(coder, X[:1]).SerializeToString()
        session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        codes = session.run(None, {session.get_inputs()[0].name: X})[0]
        yield "ONNX graph: codes", codes / units.scale


def detector_quantities(X, units, sizes):
    """Return scores and their explanations."""
    detector = SparseCodingDetector().fit(X)
    yield "detector: scores, nats", detector.score_samples(X)
    yield "detector: explanations, nats", detector.explain(X[:50]).features


def classifier_quantities(X, units, sizes):
    """Return the decision function of the classifier of features."""
    y = make_rows(sizes.n_rows)[:, 0] > 0
    classifier = StreamingRidgeClassifier(alpha=1e-3).fit(X, y)
    yield "ridge classifier: decisions", classifier.decision_function(X)


def layer_quantities(images, units, sizes, *, contrast):
    """Return the maps and the reconstructions of a layer."""
    layer = ConvSparseCoder(
        N_ATOMS, kernel_size=4, contrast=contrast, padding="valid", random_state=0
    ).fit(images)
    name = "layer with contrast" if contrast else "layer"
    maps = np.asarray(layer.transform(images), float)
    yield f"{name}: maps", maps
    if contrast is None:
        yield f"{name}: reconstructed images", units.restore(layer.reconstruct(images))


def restoration_quantities(image, units, sizes):
    """Return a denoised and an inpainted image, in the units of the data."""
    denoised = denoise_image(image, patch_size=6, n_refinements=1, n_classes=4)
    yield "denoised image, noise estimated", units.restore(denoised)
    missing = np.random.default_rng(1).random(image.shape) < 0.2
    inpainted = inpaint_image(
        image, missing, sigma=0.3 * units.scale, patch_size=6, n_passes=4, n_classes=4
    )
    yield "inpainted image", units.restore(inpainted)


def compute(cases, units, dtype, *, reference=False, sizes):
    """Return all quantities of data in some units, or the error of a case.

    With `reference` the same rounded numbers are computed with in float64.
    """
    found = {}
    for name, (data, quantities) in cases.items():
        X = units.convert(data, dtype)
        X = X.astype(np.float64) if reference else X
        try:
            found |= dict(quantities(X, units, sizes))
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            found[name] = error
    return found


def deviation(name, value, expected):
    """Return the largest difference, relative to the root mean square for some."""
    value, expected = (np.asarray(x, dtype=np.float64) for x in (value, expected))
    difference = np.abs(value - expected).max()
    if name.endswith(("nats", "means")):
        return difference
    return difference / np.sqrt(np.mean(expected**2))


def compare(title, columns, pairs):
    """Print the deviations of pairs (found, expected), and return the worst finite."""
    names = list(dict.fromkeys(name for _, expected in pairs for name in expected))
    rows, worst = [], {}
    for name in names:
        row = [name]
        for column, (found, expected) in zip(columns, pairs, strict=True):
            if name not in found or name not in expected:
                row.append("")
                continue
            value = deviation(name, found[name], expected[name])
            worst[column] = max(worst.get(column, 0.0), value)
            row.append(f"{value:.1e}")
        rows.append(row)
    print_table(title, ["", *columns], rows)
    for column, (found, _) in zip(columns, pairs, strict=True):
        for name, value in found.items():
            if isinstance(value, Exception):
                print_note(f"{column}: {name}: {type(value).__name__}: {value}")
    return worst


def main():
    options = make_parser(__doc__).parse_args()
    sizes = QUICK if options.quick else Sizes()
    print("# Numerical limits\n")
    print_environment(PACKAGES)
    rows = make_rows(sizes.n_rows)
    images = make_images(sizes.n_images, 12)
    image = make_images(1, sizes.side)[0]
    cases = {
        "coder": (rows, coder_quantities),
        "exports": (rows, exported_quantities),
        "detector": (rows, detector_quantities),
        "classifier": (rows, classifier_quantities),
        "layer": (images, partial(layer_quantities, contrast=None)),
        "layer with contrast": (images, partial(layer_quantities, contrast=0.1)),
        "restoration": (image, restoration_quantities),
    }
    print_note(
        f"{len(rows):,} rows of {N_FEATURES} features, {len(images)} images of 12×12 "
        f"and one of {sizes.side}×{sizes.side}, all of variance 1."
    )
    if options.quick:
        print_note("--quick: the values are not meaningful.")
    results = partial(compute, cases, sizes=sizes)
    with warnings.catch_warnings():  # the number of iterations is fixed
        warnings.simplefilter("ignore", ConvergenceWarning)
        compare_types(results)
        compare_units(results)


def compare_types(results):
    """Print how far float32 and integers are from float64 with the same numbers."""
    settings = {f"level {level:,}": (Units(1.0, level), "f4") for level in LEVELS}
    settings["16-bit integers"] = Units(COUNTS, PEDESTAL / COUNTS), "u2"
    pairs = [
        (results(units, dtype), results(units, dtype, reference=True))
        for units, dtype in settings.values()
    ]
    worst = compare("float32 against float64, the same numbers", settings, pairs)
    print_note(
        "Levels are in standard deviations of the data. The 16-bit integers have level "
        f"{PEDESTAL:,} and standard deviation {COUNTS}; restored images are rounded to "
        "integers too."
    )
    for (name, value), limit in zip(worst.items(), LIMITS, strict=True):
        print_at_most(limit, value, f"deviation of float32, {name}")


def compare_units(results):
    """Print how far results of c·X + d are from those of X."""
    float64 = {f"c = {c:g}": Units(c) for c in SCALES}
    float64 |= {f"d = {d:,}": Units(1.0, d) for d in LEVELS[1:]}
    for dtype, settings in (
        ("f8", float64),
        ("f4", {f"c = {c:g}": Units(c) for c in SCALES}),
    ):
        expected = results(Units(), dtype)
        pairs = [(results(units, dtype), expected) for units in settings.values()]
        name = np.dtype(dtype).name
        worst = compare(f"c·X + d against X, {name}", settings, pairs)
        limit = 1e-4 if dtype == "f8" else LIMITS[0]
        for column, value in worst.items():
            print_at_most(limit, value, f"deviation of {name}, {column}")


if __name__ == "__main__":
    main()
