"""Everything public gives a right result or an error with numbers, for any input.

`SKSCN_RANDOM_INPUTS=20000 pytest tests/test_random_inputs.py` searches longer; each
test has a share of that many inputs. The coders of rows and the imputer have such a
test in `coders/test_random_tables.py`.
"""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from random_inputs import n_inputs, obeys, random_images, random_table, search
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingDetector,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
    denoise_image,
    inpaint_image,
    interpret_network,
    iter_patches,
    make_sparse_coding_network,
    repair_network,
)

# What the package may say of an input, and go on.
EXPECTED_WARNINGS = (
    ConvergenceWarning,
    "All codes of the training data are zero",
    "features are NaN in",
    "No noise was found",
    "is larger than the range",
    "is less than the standard deviation",
)


def choose(rng, *values):
    return values[rng.integers(len(values))]


def assert_close(actual, expected, *, rtol, err_msg):
    """Assert equality up to a fraction of the largest value."""
    atol = rtol * np.max(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol, err_msg=err_msg)


def tolerance(values):
    return 1e-3 if values.dtype == np.float32 else 1e-8


def random_convolution(rng):
    init = choose(rng, "pca", "random", "patches")
    return ConvSparseCoder(
        choose(rng, None, 1, 2, 4, 30),
        n_dictionaries=choose(rng, 1, 2) if init == "pca" else 1,
        kernel_size=choose(rng, 1, 2, 3, 5, (1, 3), (3, 2)),
        stride=choose(rng, 1, 1, 2, (2, 1), 7),
        padding=choose(rng, "same", "valid", 1, (0, 2)),
        prior=choose(rng, "exponential", "spike_slab"),
        alpha=choose(rng, 0.5, 0, 3.0, 1e9),
        transform_alpha=choose(rng, None, None, 0.1),
        split_sign=choose(rng, True, False),
        depthwise=choose(rng, True, False),
        center_patches=choose(rng, True, True, False),
        contrast=choose(rng, None, 0.1, 1e-6, 1e6),
        whiten=choose(rng, 0.01, 0, None, 1e3),
        init=init,
        max_iter=choose(rng, 0, 5),
        max_patches=choose(rng, 1, 50, 1000),
        random_state=0,
    )


def random_pool(rng):
    return SpatialPool(
        choose(rng, "average", "max", "sum", "gaussian"),
        window=choose(rng, 1, 2, 3, (1, 2)),
        stride=choose(rng, None, 1, 2, (3, 1)),
        grid=choose(rng, None, 1, 2, 4, (3, 2), 20),
        sigma=choose(rng, 0.5, 1e-3, 1e3),
        power=choose(rng, 1.0, 0.5, 2.0, 0.1),
        flatten=choose(rng, True, False),
    )


def random_network(rng):
    layers = [("conv", random_convolution(rng)), ("pool", random_pool(rng))]
    if rng.random() < 0.3:
        layers.append(("deep", random_convolution(rng)))
    arrangement = choose(rng, "stack", "stack", "parallel")
    outputs = choose(rng, "last", "pools") if arrangement == "stack" else "last"
    return SparseCodingNetwork(layers, arrangement=arrangement, outputs=outputs)


def transformed_images(layer, X, rng):
    """Return the outputs of a layer of images, after checks of the law."""
    layer = clone(layer).fit(X)
    maps = layer.transform(X)
    found = {"maps": maps, "reconstruct": layer.reconstruct(X)}
    assert maps.dtype == np.result_type(maps, np.float32)
    alone, largest = layer.transform(X[:1]), np.max(np.abs(maps), initial=0.0)
    atol = tolerance(maps) * (largest + (0 if isinstance(layer, SpatialPool) else 1))
    if "spike_slab" not in repr(layer):  # whose codes jump at the threshold
        np.testing.assert_allclose(alone, maps[:1], rtol=0, atol=atol, err_msg="alone")
    flat = clone(layer).set_params(image_shape=X.shape[1:])
    rows = flat.fit_transform(X.reshape(len(X), -1))
    assert_close(rows, maps.reshape(len(X), -1), rtol=tolerance(maps), err_msg="flat")
    found["inverse"] = layer.inverse_transform(maps)
    found["stream"] = clone(layer).partial_fit(X).partial_fit(X).transform(X)
    if rng.random() < 0.3:
        again = clone(layer).set_params(n_jobs=2).fit_transform(X)
        np.testing.assert_array_equal(maps, again, err_msg="n_jobs")
    for name, step in getattr(layer, "layers_", [("layer", layer)]):
        path = np.array(getattr(step, "objective_path_", []))
        assert np.all(np.diff(path) <= 1e-12 * np.abs(path[:-1])), f"{name} {path}"
    return found


def of_convolution(X, rng):
    layer = random_convolution(rng)
    found = transformed_images(layer, X, rng)
    n_atoms = layer.fit(X).atoms_.shape[0]
    found["atoms"] = layer.atoms_
    assert found["maps"].shape[-1] == n_atoms * (1 + layer.split_sign)
    return found


def of_pool(X, rng):
    pool = random_pool(rng)
    found = transformed_images(pool, X, rng)
    if pool.grid is None:
        images = X.reshape(*X.shape, 1) if X.ndim == 3 else X
        n_channels = images.shape[3]
        window, stride = (
            np.broadcast_to(value, 2)
            for value in (pool.window, pool.stride or pool.window)
        )
        if images.shape[1] == 1 and np.ndim(pool.window) == 0:
            window = [1, window[1]]
        if images.shape[1] == 1 and np.ndim(pool.stride or pool.window) == 0:
            stride = [1, stride[1]]
        windows = sliding_window_view(images.astype(np.float64), window, axis=(1, 2))
        windows = windows[:, :: stride[0], :: stride[1]]
        reduce = {"average": np.mean, "max": np.max, "sum": np.sum}[pool.mode]
        pooled = reduce(windows, axis=(-2, -1))
        expected = np.sign(pooled) * np.abs(pooled) ** pool.power
        maps = found["maps"].reshape(len(X), -1, n_channels)
        expected = expected.reshape(maps.shape)
        rtol = tolerance(maps) ** min(pool.power, 1.0)  # near zero, powers are steep
        assert_close(maps, expected, rtol=rtol, err_msg="pooled")
    return found


def of_network(X, rng):
    return transformed_images(random_network(rng), X, rng)


def of_preset(X, rng):
    X, labels = X[:8], np.arange(len(X[:8])) % 2
    name = choose(rng, "digits", "natural", "signals")
    if name == "signals":
        X = X.reshape(len(X), -1)
    model = make_sparse_coding_network(
        name, classifier=StreamingRidgeClassifier(), random_state=0
    )
    model.fit(X, labels)
    found = {"decisions": model.decision_function(X)}
    again = clone(model).set_params(network__n_jobs=2, classify__n_jobs=2)
    again = again.fit(X, labels).decision_function(X)
    np.testing.assert_array_equal(found["decisions"], again, err_msg="n_jobs")
    return found


def is_constant(rows):
    """Whether the rows are equal up to rounding errors."""
    rows = dense(rows).astype(np.float64)
    largest = np.nanmax(np.abs(rows), initial=0.0)
    return bool(np.all(np.ptp(rows / (largest or 1.0), axis=0) < 1e-5))


def detected(detector, X, rng):
    """Return the outputs of a detector, after checks of the law."""
    detector = clone(detector).fit(X)
    explanation = detector.explain(X)
    scores = detector.score_samples(X)
    found = {"scores": scores, "offset": detector.offset_}
    sums = {
        "components": explanation.coefficients.sum(axis=1)
        + explanation.residual
        + explanation.marginals.sum(axis=1),
        "score": explanation.score,
    }
    for name in ("features", "maps"):
        if hasattr(explanation, name):
            values = getattr(explanation, name)
            sums[name] = values.reshape(len(values), -1).sum(axis=1)
    terms = np.abs(explanation.coefficients).sum(axis=1) + np.abs(explanation.residual)
    rows = detector._to_rows(detector._validate(X, reset=False))
    bound = 1e-4 * (terms + 1.0) + 2 * detector._model.rounding_error(rows)
    # Of data that are constant up to rounding errors, these decide.
    is_image = detector.layers_ is not None
    if is_image or sparse.issparse(rows) or is_constant(rows):
        bound += 0.1 * (terms + 1.0)
    for name, total in sums.items():
        errors = np.abs(total - scores) / bound
        assert errors.max() < 1, f"{name} does not add up to the score: {errors.max()}"
    alone = detector.score_samples(X[:1])
    if not is_constant(X.reshape(len(X), -1)):
        error = np.abs(alone - scores[:1]) / bound[:1]
        assert error < 1, f"of other rows: {alone, scores[:1]}"
    found["stream"] = clone(detector).partial_fit(X).partial_fit(X).score_samples(X)
    if rng.random() < 0.3:
        again = clone(detector).set_params(n_jobs=2).fit(X).score_samples(X)
        np.testing.assert_array_equal(scores, again, err_msg="n_jobs")
    return found


def random_detector(rng, coder):
    return SparseCodingDetector(
        coder,
        scaling=choose(rng, "robust", None),
        marginals=choose(rng, True, False),
        trim=choose(rng, 0.0, 0.0, 0.3),
        contamination=choose(rng, "auto", 0.1),
    )


def of_table_detector(X, rng):
    few = {"max_iter": 8, "random_state": 0}
    coder = choose(
        rng,
        None,
        OrthogonalSparseCoder(1, alpha="auto", prior="spike_slab", **few),
        NonNegativeSparseCoder(1, alpha="auto", **few),
        OrthogonalSparseCoder(1, alpha=0.5, **few),
    )
    return detected(random_detector(rng, coder), X, rng)


def of_image_detector(X, rng):
    coder = random_convolution(rng)
    if rng.random() < 0.5:
        coder = SparseCodingNetwork([("conv", coder), ("pool", random_pool(rng))])
    return detected(random_detector(rng, coder), X, rng)


def first_image_or_volume(X, rng):
    """Return one of several images, or all of them as the slices of a volume."""
    if rng.random() < 0.3:
        return X
    return X[0] if len(X) else X.reshape(0, *X.shape[2:])


def of_denoising(X, rng):
    image = first_image_or_volume(X, rng)
    channel_axis = -1 if X.ndim == 4 else None
    options = {
        "sigma": choose(rng, None, 0.0, 1.0, 1e-3, 1e6),
        "patch_size": choose(rng, None, 3, 1, (2, 4), (3, 2, 4)),
        "stride": choose(rng, 1, 2, 9),
        "n_refinements": choose(rng, 0, 1),
        "n_classes": choose(rng, 1, 4),
        "max_patches": choose(rng, 1, 1000),
        "channel_axis": channel_axis,
    }
    denoised = denoise_image(image, **options)
    assert denoised.shape == image.shape
    assert denoised.dtype == image.dtype
    again = denoise_image(image, **options, n_jobs=2)
    np.testing.assert_array_equal(denoised, again, err_msg="n_jobs")
    if image.size and np.ptp(image.astype(float)) == 0 and channel_axis is None:
        assert_close(denoised, image, rtol=1e-3, err_msg="constant image")
    return {"denoised": denoised}


def of_inpainting(X, rng):
    image = first_image_or_volume(X, rng)
    channel_axis = -1 if X.ndim == 4 else None
    mask = rng.random(image.shape) < choose(rng, 0.0, 0.2, 0.8)
    is_given = image.dtype.kind != "f" or rng.random() < 0.7
    options = {
        "mask": mask if is_given else None,
        "sigma": choose(rng, 0.0, 0.0, 1.0, 1e6),
        "patch_size": choose(rng, None, 3, 1, (2, 4), (3, 2, 4)),
        "stride": choose(rng, 1, 2, 9),
        "n_passes": choose(rng, 1, 4),
        "n_classes": choose(rng, 1, 4),
        "max_patches": choose(rng, 1, 1000),
        "channel_axis": channel_axis,
    }
    inpainted = inpaint_image(image, **options)
    assert inpainted.shape == image.shape
    assert inpainted.dtype == image.dtype
    again = inpaint_image(image, **options, n_jobs=2)
    np.testing.assert_array_equal(inpainted, again, err_msg="n_jobs")
    if options["sigma"] == 0.0:
        known = ~mask if is_given else ~np.isnan(image)
        np.testing.assert_array_equal(inpainted[known], image[known], err_msg="known")
    return {"inpainted": inpainted}


def of_patches(X, rng):
    size, stride = choose(rng, 1, 2, 3, (1, 2)), choose(rng, 1, 2, (3, 1))
    center = choose(rng, True, False)
    batches = list(
        iter_patches(
            X, size, stride=stride, batch_size=int(rng.integers(1, 99)), center=center
        )
    )
    if np.isnan(X.astype(float)).any() or not batches:
        return {}
    size, stride = np.broadcast_to(size, 2), np.broadcast_to(stride, 2)
    patches = sliding_window_view(X, size, axis=(1, 2))[:, :: stride[0], :: stride[1]]
    if X.ndim == 4:
        patches = np.moveaxis(patches, 3, -1)
    n_features = int(np.prod(size)) * (X.shape[3] if X.ndim == 4 else 1)
    expected = patches.reshape(-1, n_features)
    found = np.concatenate(batches)
    if center:
        expected = expected.astype(np.longdouble)
        expected = expected - expected.mean(axis=1, keepdims=True)
        resolution = np.finfo(found.dtype)
        scale = np.max(np.abs(X.astype(np.longdouble)))
        atol = 4 * (resolution.eps * scale + resolution.smallest_subnormal)
        assert np.all(np.abs(found - expected) <= atol)
    else:
        np.testing.assert_array_equal(found, expected)
    return {"patches": found}


def of_scaler(X, rng):
    scaler = FlooredScaler(
        floor=choose(rng, 0.1, 0, 2.0),
        with_mean=not sparse.issparse(X),
        with_std=choose(rng, True, True, False),
    )
    found = {"scaled": scaler.fit_transform(X)}
    if scaler.floor == 0 and X.dtype != np.float16:
        with np.errstate(invalid="ignore"):
            expected = clone_parameters(StandardScaler(), scaler).fit_transform(X)
        np.testing.assert_array_equal(dense(found["scaled"]), dense(expected))
    stream = clone(scaler).partial_fit(X)
    found["stream"] = stream.partial_fit(X).transform(X)
    return {
        name: np.nan_to_num(dense(values), nan=0.0, posinf=np.inf, neginf=-np.inf)
        if np.isnan(dense(X).astype(float)).any()
        else dense(values)
        for name, values in found.items()
    }


def clone_parameters(estimator, other):
    names = estimator.get_params()
    return estimator.set_params(**{name: other.get_params()[name] for name in names})


def dense(X):
    return X.toarray() if sparse.issparse(X) else X


def of_classifier(X, rng):
    labels = np.arange(len(X)) % choose(rng, 2, 3)
    classifier = StreamingRidgeClassifier(
        alpha=choose(rng, 0.01, 1e-6, 1e3), floor=choose(rng, 0.1, 0, 2.0)
    )
    decisions = classifier.fit(X, labels).decision_function(X)
    assert np.isin(classifier.predict(X), labels).all()
    again = clone(classifier).set_params(n_jobs=2).fit(X, labels)
    np.testing.assert_array_equal(decisions, again.decision_function(X), "n_jobs")
    stream = (
        clone(classifier).partial_fit(X, labels, classes=range(3)).decision_function(X)
    )
    return {"decisions": decisions, "stream": stream, "coef": classifier.coef_}


def of_interpretation(X, rng):
    sizes = [X.shape[1], *rng.integers(1, 8, size=rng.integers(1, 4)).tolist()]
    weights = [
        random_table([int(rng.integers(2**31)), 7]).X.astype(np.float64)
        if rng.random() < 0.1
        else rng.normal(size=shape) * 10.0 ** choose(rng, 0, 0, 0, 3, -3, 20, -20, 150)
        for shape in zip(sizes[1:], sizes[:-1], strict=True)
    ]
    for weight in weights:
        weight[rng.random(len(weight)) < 0.1] = 0.0  # dead units
    biases = [choose(rng, rng.normal(size=n), np.zeros(n), None) for n in sizes[1:]]
    model = list(zip(weights, biases, strict=True))
    readout = len(model) > 1 and rng.random() < 0.7
    report = interpret_network(model, X, max_rows=50, readout=readout)
    text = repr(report)
    assert str(len(report.layers)) or text
    expected = X.astype(np.float64)
    n_hidden = len(model) - readout
    for weight, bias in model[:n_hidden]:
        bias = 0 if bias is None else bias
        with np.errstate(all="ignore"):
            expected = np.maximum(expected @ weight.T + bias, 0.0)
    found = {"codes": report.transform(X)}
    if np.isfinite(expected).all():
        codes = expected / report.layers[-1].norms
        assert_close(found["codes"], codes, rtol=1e-3, err_msg="ReLU network")
    for i, layer in enumerate(report.layers):
        found |= {f"priors {i}": layer.priors, f"atoms {i}": layer.atoms}
    if not readout:
        return found
    found["decisions"] = report.decision_function(X)
    repaired = repair_network(
        model, X, priors="bias", atoms=choose(rng, True, False), max_rows=50
    )
    assert all(layer.positive_bias_fraction == 0 for layer in repaired.after.layers)
    return found


def of_interpreted_layer(X, rng):
    readable = {"prior": "exponential", "depthwise": False, "contrast": None}
    layer = random_convolution(rng).set_params(**readable).fit(X)
    report = interpret_network(layer, X, max_rows=50)
    repr(report)
    return {f"atoms {i}": layer.atoms for i, layer in enumerate(report.layers)}


def dense_table(seed):
    """Return a random table whose layout is not CSR."""
    return next(
        table
        for i in range(99)
        if not sparse.issparse((table := random_table([*seed, i])).X)
    )


SUBJECTS = {
    "ConvSparseCoder": (of_convolution, random_images),
    "SpatialPool": (of_pool, random_images),
    "SparseCodingNetwork": (of_network, random_images),
    "make_sparse_coding_network": (of_preset, random_images),
    "SparseCodingDetector of tables": (of_table_detector, random_table),
    "SparseCodingDetector of images": (of_image_detector, random_images),
    "denoise_image": (of_denoising, random_images),
    "inpaint_image": (of_inpainting, random_images),
    "iter_patches": (of_patches, random_images),
    "FlooredScaler": (of_scaler, random_table),
    "StreamingRidgeClassifier": (of_classifier, dense_table),
    "interpret_network of weights": (of_interpretation, dense_table),
    "interpret_network of layers": (of_interpreted_layer, random_images),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_any_input_has_a_right_result_or_an_error_with_numbers(name):
    function, make_input = SUBJECTS[name]

    def check(item):
        rng = np.random.default_rng(item.seed)
        obeys(lambda X: function(X, rng), item.X, EXPECTED_WARNINGS)

    search(check, make_input, name, n_inputs(len(SUBJECTS)))
