"""The convolutional layer is a coder at every position, and one convolution."""

import pickle

import numpy as np
import pytest
from scipy.signal import correlate
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SpatialPool,
)


@pytest.fixture(scope="module")
def images():
    """Return smooth random images with two channels."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(30, 12, 15, 2))
    return noise + np.roll(noise, 1, axis=1) + np.roll(noise, 1, axis=2)


def normalized_patches(conv, images):
    """Return all normalized patches of images without padding, as rows."""
    kernel = conv.atoms_.shape[1:3]
    views = np.lib.stride_tricks.sliding_window_view(images, kernel, axis=(1, 2))
    rows = np.moveaxis(views, 3, -1).reshape(-1, np.prod(conv.atoms_.shape[1:]))
    if conv.center_patches:
        rows = rows - rows.mean(axis=1, keepdims=True)
    if conv.eps_:
        rows = rows / np.sqrt(rows.var(axis=1, keepdims=True) + conv.eps_)
    return rows


@pytest.mark.parametrize("split_sign", [True, False])
@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_maps_are_the_relu_of_a_correlation_plus_a_bias(images, split_sign, padding):
    conv = ConvSparseCoder(
        7, kernel_size=(3, 4), padding=padding, split_sign=split_sign, random_state=0
    ).fit(images)
    maps = conv.transform(images[:2])
    pads = {"same": ((1, 1), (1, 2)), "valid": ((0, 0), (0, 0)), 1: ((1, 1), (1, 1))}
    padded = np.pad(images[:2], ((0, 0), *pads[padding], (0, 0)), mode="edge")
    for k, (kernel, bias) in enumerate(zip(conv.filters_, conv.bias_, strict=True)):
        for image, found in zip(padded, maps, strict=True):
            expected = correlate(image, kernel, mode="valid")[..., 0] + bias
            np.testing.assert_allclose(
                found[..., k], np.maximum(expected, 0), atol=1e-9
            )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("depthwise", [False, True])
def test_maps_are_those_of_a_convolution_in_torch(images, stride, depthwise):
    torch = pytest.importorskip("torch")
    X = images.astype(np.float32)
    conv = ConvSparseCoder(
        8, kernel_size=5, stride=stride, padding=2, depthwise=depthwise, random_state=0
    ).fit(X)
    maps = torch.nn.functional.conv2d(
        torch.nn.functional.pad(
            torch.tensor(X).permute(0, 3, 1, 2), (2, 2, 2, 2), mode="replicate"
        ),
        torch.tensor(conv.filters_).permute(0, 3, 1, 2),
        torch.tensor(conv.bias_),
        stride=stride,
        groups=2 if depthwise else 1,
    ).relu()
    expected = maps.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(conv.transform(X), expected, atol=1e-5)


@pytest.mark.parametrize("prior", ["exponential", "spike_slab"])
@pytest.mark.parametrize("split_sign", [True, False])
def test_with_the_stride_of_a_patch_a_layer_codes_tiles(prior, split_sign, rng):
    # Without normalization and whitening the layer is a coder of the rows of tiles.
    images = rng.normal(size=(40, 8, 8, 1)) @ np.ones((1, 1))
    tiles = images.reshape(40, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 16)
    conv = ConvSparseCoder(
        16,
        kernel_size=4,
        stride=4,
        padding="valid",
        prior=prior,
        split_sign=split_sign,
        center_patches=False,
        whiten=None,
    ).fit(images)
    Coder = OrthogonalSparseCoder if split_sign else NonNegativeSparseCoder
    name = "laplace" if split_sign and prior == "exponential" else prior
    coder = Coder(
        prior=name, alpha=0.5, init=conv.atoms_.reshape(16, 16), max_iter=0
    ).fit(tiles)
    codes = coder.transform(tiles).reshape(40, 2, 2, 16)
    maps = conv.transform(images)
    if split_sign:
        maps = maps[..., :16] - maps[..., 16:]
    np.testing.assert_allclose(maps, codes, atol=1e-9)


@pytest.mark.parametrize("contrast", [None, 0.1])
@pytest.mark.parametrize("center_patches", [True, False])
def test_filters_and_biases_contain_normalization_and_whitening(
    images, contrast, center_patches
):
    # The computation step by step: normalize, whiten, project, threshold.
    conv = ConvSparseCoder(
        6,
        kernel_size=3,
        padding="valid",
        contrast=contrast,
        center_patches=center_patches,
        random_state=0,
    ).fit(images)
    rows = normalized_patches(conv, images[:3]) - conv.mean_.ravel()
    atoms = conv.atoms_.reshape(6, -1)
    ((whitening, coder),) = conv._channel_groups
    codes = coder.transform(rows @ whitening.matrix.T)
    maps = conv.transform(images[:3]).reshape(len(rows), 12)
    np.testing.assert_allclose(maps[:, :6] - maps[:, 6:], codes, atol=1e-9)
    np.testing.assert_allclose(
        atoms, coder.components_ @ whitening.dewhitening_matrix, atol=1e-12
    )


@pytest.mark.parametrize("contrast", [None, 0.1])
@pytest.mark.parametrize("depthwise", [False, True])
def test_all_atoms_without_threshold_reconstruct_images_exactly(
    images, contrast, depthwise
):
    conv = ConvSparseCoder(
        kernel_size=3, alpha=0.0, contrast=contrast, depthwise=depthwise, random_state=0
    ).fit(images)
    np.testing.assert_allclose(conv.reconstruct(images), images, atol=1e-9)


@pytest.mark.parametrize("prior", ["exponential", "spike_slab"])
@pytest.mark.parametrize("split_sign", [True, False])
def test_maps_of_several_dictionaries_are_the_codes_of_each(images, prior, split_sign):
    alpha = np.linspace(0.3, 0.8, 6)
    conv = ConvSparseCoder(
        6,
        n_dictionaries=3,
        kernel_size=3,
        padding="valid",
        prior=prior,
        alpha=alpha,
        split_sign=split_sign,
        contrast=0.1,
        random_state=0,
    ).fit(images)
    np.testing.assert_array_equal(conv.alpha_, np.tile(alpha, 3))
    ((whitening, mixture),) = conv._channel_groups
    rows = whitening(normalized_patches(conv, images[:3]))
    maps = conv.transform(images[:3]).reshape(len(rows), -1)
    if split_sign:
        maps = maps[:, :18] - maps[:, 18:]
    name = "laplace" if split_sign and prior == "exponential" else prior
    Coder = OrthogonalSparseCoder if split_sign else NonNegativeSparseCoder
    objectives = []
    for atoms, found in zip(
        mixture.components_, np.split(maps, 3, axis=1), strict=True
    ):
        coder = Coder(prior=name, alpha=alpha, center=False, init=atoms, max_iter=0)
        codes = coder.fit(rows).transform(rows)
        np.testing.assert_allclose(found, codes, atol=1e-9)
        error = 0.5 * np.square(rows - codes @ atoms).sum(axis=1)
        penalty = alpha**2 / 2 * (codes != 0)
        penalty = penalty if prior == "spike_slab" else alpha * np.abs(codes)
        objectives.append(error + penalty.sum(axis=1))
    # Learning minimizes the objective of the dictionary that codes a patch best.
    path = np.array(conv.objective_path_)
    assert np.all(np.diff(path) <= 1e-12)
    np.testing.assert_allclose(np.min(objectives, axis=0).mean(), path[-1], rtol=0.1)


@pytest.mark.parametrize("depthwise", [False, True])
def test_dictionaries_without_threshold_reconstruct_images_exactly(images, depthwise):
    # Orthonormal bases side by side are a tight frame.
    conv = ConvSparseCoder(
        n_dictionaries=3, kernel_size=3, alpha=0.0, depthwise=depthwise, random_state=0
    ).fit(images)
    np.testing.assert_allclose(conv.reconstruct(images), images, atol=1e-9)


def test_several_dictionaries_learn_two_kinds_of_patches(rng):
    # Every patch has one code in one of two bases, which one dictionary cannot hold.
    bases = np.linalg.qr(rng.normal(size=(2, 9, 9)))[0]
    codes = rng.laplace(size=(3000, 9)) * (rng.random((3000, 9)) < 0.1)
    patches = np.einsum("ij,ijk->ik", codes, bases[rng.integers(2, size=3000)])
    images = patches.reshape(-1, 3, 3)
    conv = ConvSparseCoder(
        n_dictionaries=2,
        kernel_size=3,
        padding="valid",
        alpha=0.1,
        center_patches=False,
        whiten=None,
        max_iter=200,
        random_state=0,
    ).fit(images)
    atoms = 2 * conv.atoms_.reshape(18, 9)
    np.testing.assert_allclose(np.linalg.norm(atoms, axis=1), 1.0, atol=1e-9)
    similarity = np.abs(bases.reshape(18, 9) @ atoms.T).max(axis=1)
    assert similarity.min() > 0.99
    stream = clone(conv)
    for batch in np.split(images, 3):
        stream = stream.partial_fit(batch)
    assert stream.n_iter_ > 2
    with pytest.raises(ValueError, match="alpha"):
        stream.set_params(alpha=0.2).partial_fit(images)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("contrast", [None, 0.1])
@pytest.mark.parametrize("depthwise", [False, True])
def test_maps_in_float32_are_those_in_float64_at_every_level(
    images, padding, contrast, depthwise
):
    levels = np.geomspace(1.0, 6e4, len(images))[:, None, None, None]
    X = (images + levels).astype(np.float32)
    conv = ConvSparseCoder(
        8,
        kernel_size=3,
        padding=padding,
        contrast=contrast,
        depthwise=depthwise,
        random_state=0,
    ).fit(X.astype(np.float64))
    expected = conv.transform(X.astype(np.float64))
    np.testing.assert_allclose(conv.transform(X), expected, atol=1e-3)
    expected = conv.reconstruct(X.astype(np.float64))
    np.testing.assert_allclose(conv.reconstruct(X), expected, rtol=1e-6, atol=1e-5)
    # Learning in float32 sees the same contrasts and whitening.
    single = clone(conv).fit(X)
    assert single.eps_ == pytest.approx(conv.eps_, rel=1e-3)
    np.testing.assert_allclose(single.mean_, conv.mean_, atol=1e-3)


@pytest.mark.parametrize("center_patches", [True, False])
@pytest.mark.parametrize("contrast", [None, 0.1])
def test_the_level_of_images_is_irrelevant_at_their_borders_too(
    images, center_patches, contrast
):
    if contrast and not center_patches:
        pytest.skip("the contrast divides the level, too")
    conv = ConvSparseCoder(
        8,
        kernel_size=5,
        center_patches=center_patches,
        contrast=contrast,
        random_state=0,
    )
    expected = conv.fit(images)
    bright = clone(conv).fit(images + 1000)
    np.testing.assert_allclose(
        bright.transform(images + 1000), expected.transform(images), atol=1e-6
    )
    np.testing.assert_allclose(
        bright.reconstruct(images + 1000), expected.reconstruct(images) + 1000
    )


def test_inverse_transform_is_exact_if_patches_keep_their_means(images):
    conv = ConvSparseCoder(kernel_size=3, alpha=0.0, center_patches=False).fit(images)
    maps = conv.transform(images)
    np.testing.assert_allclose(conv.inverse_transform(maps), images, atol=1e-9)
    rows = conv.inverse_transform(maps.reshape(len(maps), -1))
    np.testing.assert_allclose(rows, images.reshape(len(images), -1), atol=1e-9)


def test_the_reconstruction_error_grows_with_alpha(images):
    errors = []
    for alpha in (0.0, 0.5, 1.0, 2.0):
        conv = ConvSparseCoder(8, kernel_size=3, alpha=alpha, random_state=0)
        errors.append(np.square(conv.fit(images).reconstruct(images) - images).mean())
    assert errors == sorted(errors)


def test_depthwise_is_one_layer_for_every_channel(images):
    parameters = {"kernel_size": 3, "contrast": None, "max_patches": 10**6}
    both = ConvSparseCoder(4, depthwise=True, **parameters).fit_transform(images)
    separate = [
        ConvSparseCoder(4, **parameters).fit_transform(images[..., [c]]) for c in (0, 1)
    ]
    np.testing.assert_allclose(both, np.concatenate(separate, axis=-1), atol=1e-9)


def test_whitened_projections_have_unit_variance(images):
    conv = ConvSparseCoder(8, kernel_size=3, alpha=0.0, whiten=0.0, random_state=0)
    maps = conv.set_params(padding="valid", max_patches=10**6).fit_transform(images)
    codes = maps[..., :8] - maps[..., 8:]
    np.testing.assert_allclose(codes.std(axis=(0, 1, 2)), 1.0, rtol=1e-6)


def test_an_array_of_alpha_gives_every_atom_its_threshold(images):
    alpha = np.linspace(0.1, 2.0, 6)
    conv = ConvSparseCoder(6, kernel_size=3, alpha=alpha, random_state=0).fit(images)
    shift = (conv.bias_[:6] - conv.bias_[6:]) / 2
    np.testing.assert_allclose(conv.bias_[:6], shift - alpha, atol=1e-12)
    np.testing.assert_allclose(conv.bias_[6:], -shift - alpha, atol=1e-12)
    active = (conv.transform(images) > 0).mean(axis=(0, 1, 2))
    assert active[0] > active[5]


def test_maps_may_have_another_threshold_than_the_codes_in_learning(images):
    conv = ConvSparseCoder(4, kernel_size=3, alpha=2.0, random_state=0).fit(images)
    maps = clone(conv).set_params(transform_alpha=0.3).fit(images)
    np.testing.assert_array_equal(maps.atoms_, conv.atoms_)
    np.testing.assert_array_equal(maps.alpha_, np.full(4, 0.3))
    np.testing.assert_allclose(maps.bias_, conv.bias_ + 1.7, atol=1e-12)
    two = ConvSparseCoder(
        4, n_dictionaries=2, kernel_size=3, alpha=2.0, max_iter=99, random_state=0
    ).partial_fit(images)
    two.set_params(transform_alpha=0.3).partial_fit(images)
    np.testing.assert_array_equal(two.alpha_, np.full(8, 0.3))


def test_flat_rows_and_images_with_and_without_a_channel_axis_give_equal_maps(images):
    gray = images[..., 0]
    conv = ConvSparseCoder(4, kernel_size=3, random_state=0)
    maps = conv.fit_transform(gray)
    np.testing.assert_array_equal(clone(conv).fit_transform(gray[..., None]), maps)
    rows = gray.reshape(len(gray), -1)
    flat = clone(conv).set_params(image_shape=(12, 15)).fit(rows)
    np.testing.assert_array_equal(flat.transform(rows), maps.reshape(len(maps), -1))
    np.testing.assert_array_equal(flat.transform(gray), maps)


def test_feature_names_hold_map_and_position(images):
    rows = images.reshape(30, -1)
    conv = ConvSparseCoder(4, image_shape=(12, 15, 2), stride=5, random_state=0)
    codes = conv.fit_transform(rows)
    names = list(conv.get_feature_names_out())
    column = names.index("convsparsecoder_map6_y2_x1")
    maps = conv.transform(images)
    np.testing.assert_array_equal(codes[:, column], maps[:, 2, 1, 6])


def test_a_signal_is_an_image_of_one_row(rng):
    X = rng.normal(size=(20, 40)).cumsum(axis=1)
    conv = ConvSparseCoder(4, kernel_size=7, stride=2, random_state=0).fit(X)
    assert conv.filters_.shape == (8, 1, 7, 1)
    assert conv.map_shape_ == (1, 20, 8)
    assert conv.transform(X).shape == (20, 160)


@pytest.mark.parametrize("n_jobs", [2, 3])
@pytest.mark.parametrize("contrast", [None, 0.1])
def test_filters_and_maps_have_the_same_bits_for_every_n_jobs(n_jobs, contrast):
    images = np.random.default_rng(0).random((3000, 8, 8), dtype=np.float32)
    conv = ConvSparseCoder(8, contrast=contrast, random_state=0)
    one_worker = conv.fit(images).transform(images)
    several_workers = clone(conv).set_params(n_jobs=n_jobs).fit(images)
    np.testing.assert_array_equal(several_workers.filters_, conv.filters_)
    np.testing.assert_array_equal(several_workers.transform(images), one_worker)


def test_maps_of_an_image_do_not_depend_on_other_images(images):
    conv = ConvSparseCoder(8, contrast=0.1, random_state=0).fit(images)
    one_by_one = [conv.transform(image[None])[0] for image in images]
    np.testing.assert_allclose(conv.transform(images), one_by_one, atol=1e-12)


@pytest.mark.parametrize("contrast", [None, 0.1])
def test_float32_and_bytes_are_computed_in_float32(contrast):
    images = np.random.default_rng(0).integers(0, 256, (50, 10, 10), dtype=np.uint8)
    conv = ConvSparseCoder(8, contrast=contrast, random_state=0)
    conv = conv.fit(images.astype(np.float64))
    exact = conv.transform(images.astype(np.float64))
    assert exact.dtype == np.float64
    for kind in (np.uint8, np.float32):
        maps = conv.transform(images.astype(kind))
        assert maps.dtype == np.float32
        np.testing.assert_allclose(maps, exact, atol=1e-5)
        learned = clone(conv).fit(images.astype(kind))
        assert learned.filters_.dtype == learned.bias_.dtype == np.float32


@pytest.mark.parametrize("init", ["pca", "random", "patches"])
def test_without_iterations_the_dictionary_is_the_initial_one(images, init):
    conv = ConvSparseCoder(
        6, kernel_size=3, init=init, max_iter=0, whiten=None, random_state=0
    ).fit(images)
    atoms = conv.atoms_.reshape(6, -1)
    np.testing.assert_allclose(atoms @ atoms.T, np.eye(6), atol=1e-12)
    assert conv.n_iter_ == 0
    learned = clone(conv).set_params(max_iter=30).fit(images)
    assert learned.objective_path_[-1] < conv.objective_path_[0]


def test_a_layer_learns_from_a_small_sample_of_patches(images):
    conv = ConvSparseCoder(4, kernel_size=3, max_patches=80, random_state=0).fit(images)
    assert conv._channel_groups[0][1].components_.shape == (4, 4)
    assert conv.objective_path_[-1] <= conv.objective_path_[0]


def test_partial_fit_converges_to_the_objective_of_fit():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 12, 12))
    images = noise + np.roll(noise, 1, axis=1) + 0.5 * np.roll(noise, 1, axis=2) ** 2
    stream = ConvSparseCoder(6, kernel_size=3, random_state=0)
    for _ in range(3):
        for batch in np.split(images, 4):
            stream = stream.partial_fit(batch)
    ((whitening, coder),) = stream._channel_groups
    rows = whitening(normalized_patches(stream, images[..., None]))
    best = OrthogonalSparseCoder(alpha=0.5, center=False).fit(rows)
    codes = coder.transform(rows)
    error = np.square(rows - coder.inverse_transform(codes)).sum(axis=1)
    reached = np.mean(0.5 * error + 0.5 * np.abs(codes).sum(axis=1))
    assert reached < 1.01 * best.objective_path_[-1]


def test_the_first_partial_fit_is_fit(images):
    conv = ConvSparseCoder(4, kernel_size=3, random_state=0)
    stream = clone(conv).partial_fit(images)
    np.testing.assert_array_equal(stream.filters_, conv.fit(images).filters_)


def test_a_failed_fit_changes_nothing(images):
    conv = ConvSparseCoder(4, kernel_size=3, random_state=0).fit(images)
    before = dict(vars(conv))
    bad = images.copy()
    bad[3, 2, 1, 0] = np.nan
    for method in (conv.fit, conv.partial_fit):
        with pytest.raises(ValueError, match="NaN"):
            method(bad)
        assert vars(conv).keys() == before.keys()
        assert all(vars(conv)[name] is value for name, value in before.items())


def test_a_fitted_layer_is_built_once_and_is_not_pickled(images):
    conv = ConvSparseCoder(4, kernel_size=3, random_state=0).fit(images)
    size, before = len(pickle.dumps(conv)), dict(vars(conv))
    maps = conv.transform(images)
    assert conv._fitted_layer(images.dtype) is conv._fitted_layer(images.dtype)
    assert vars(conv) == before
    assert len(pickle.dumps(conv)) == size
    loaded = pickle.loads(pickle.dumps(conv))
    np.testing.assert_array_equal(loaded.transform(images), maps)


def test_constant_images_have_zero_codes():
    maps = ConvSparseCoder(
        4, kernel_size=3, padding="valid", contrast=0.1
    ).fit_transform(np.ones((20, 6, 6)))
    assert np.isfinite(maps).all()
    assert not maps.any()


ERRORS = [
    ({"n_components": 50}, "must be at most 17"),
    (
        {"kernel_size": 1, "depthwise": True},
        r"kernel_size=\(1, 1\) gives patches of 1 number.* center_patches=False",
    ),
    ({"n_components": 17, "alpha": np.ones(3)}, r"alpha has shape \(3,\)"),
    ({"transform_alpha": np.ones(3)}, r"transform_alpha has shape \(3,\)"),
    ({"kernel_size": 16, "padding": "valid"}, "does not fit in images"),
    ({"kernel_size": (3, 3, 3)}, "kernel_size"),
    ({"kernel_size": 1, "depthwise": True}, "center_patches=False"),
    ({"padding": (1, -1)}, "padding"),
    ({"stride": (0, 1)}, "stride"),
    ({"image_shape": (5, 5)}, "image_shape"),
    ({"init": "dct"}, "init"),
    ({"init": "random", "n_dictionaries": 2}, r"n_dictionaries=2.* init='pca'"),
]


@pytest.mark.parametrize(("parameters", "message"), ERRORS, ids=str)
def test_errors_name_the_numbers(images, parameters, message):
    conv = ConvSparseCoder(**{"kernel_size": 3, **parameters})
    with pytest.raises((ValueError, TypeError), match=message):
        conv.fit(images)
    assert not hasattr(conv, "filters_")


def test_errors_for_rows_without_image_shape_name_the_remedy(images):
    rows = images[..., 0].reshape(len(images), -1)
    with pytest.raises(ValueError, match=r"at most 2.*give their image_shape"):
        ConvSparseCoder(8, kernel_size=3).fit(rows)


@pytest.mark.parametrize(("dtype", "factor"), [(np.float32, 1e30), (float, 1e200)])
def test_patches_with_overflowing_squares_raise(images, dtype, factor):
    with pytest.raises(ValueError, match=r"overflow float.*Scale X"):
        ConvSparseCoder(4, kernel_size=3).fit(images.astype(dtype) * dtype(factor))


def test_images_of_another_shape_raise(images):
    conv = ConvSparseCoder(4, kernel_size=3).fit(images)
    with pytest.raises(ValueError, match=r"fitted to images of shape \(12, 15, 2\)"):
        conv.transform(images[:, :8])
    with pytest.raises(ValueError, match="transform returns maps of shape"):
        conv.inverse_transform(images)
    with pytest.raises(ValueError, match="dimensions"):
        conv.fit(images[None])


def test_warnings_name_parameters_of_the_layer(images):
    with pytest.warns(ConvergenceWarning, match=r"max_iter=1 .* Increase max_iter\.$"):
        ConvSparseCoder(8, kernel_size=3, max_iter=1, random_state=0).fit(images)
    message = (
        r"alpha=9\.0 is above .* projected on the atoms have root mean square 0\.\d+"
    )
    with pytest.warns(UserWarning, match=message):
        ConvSparseCoder(4, kernel_size=3, alpha=9.0, random_state=0).fit(images)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_maps_stay_arrays_and_tables_become_frames(images, container):
    frame = pytest.importorskip(container).DataFrame
    X = images[..., 0]
    rows = X.reshape(len(X), -1)
    conv = ConvSparseCoder(4, kernel_size=3, random_state=0)
    pool = SpatialPool(grid=2, flatten=True)
    maps = clone(conv).fit_transform(X)
    table = clone(conv).set_params(image_shape=(12, 15)).fit_transform(rows)
    expected = make_pipeline(clone(conv), clone(pool)).fit_transform(X)
    with config_context(transform_output=container):
        np.testing.assert_array_equal(clone(conv).fit_transform(X), maps)
        np.testing.assert_array_equal(clone(conv).fit(X).transform(X), maps)
        model = make_pipeline(clone(conv), clone(pool), FlooredScaler())
        found = model.fit_transform(X)
        assert isinstance(found, frame)
        assert list(found.columns) == list(model.get_feature_names_out())
        pooled = model[:-1].transform(X)
        assert isinstance(pooled, frame)
        np.testing.assert_array_equal(pooled.to_numpy(), expected)
        found = clone(conv).set_params(image_shape=(12, 15)).fit_transform(rows)
        assert isinstance(found, frame)
        np.testing.assert_array_equal(found.to_numpy(), table)
    layer = clone(conv).set_output(transform=container).fit(X)
    np.testing.assert_array_equal(layer.transform(X), maps)
    assert isinstance(SpatialPool(grid=2, flatten=True).fit_transform(X), np.ndarray)


def test_images_much_larger_than_those_of_fit_are_an_error_with_their_size(rng):
    images = rng.normal(size=(9, 6, 6)).astype(np.float32)
    conv = ConvSparseCoder(2, kernel_size=3, contrast=0.1, random_state=0).fit(images)
    with pytest.raises(ValueError, match="squares of the entries of X overflow"):
        conv.transform(images * np.float32(1e30))
