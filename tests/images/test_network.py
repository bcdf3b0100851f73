"""Networks equal their layers applied one by one, and stream images through them."""

import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline

from skscn import (
    ConvSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    make_sparse_coding_network,
)


def conv(n_components, **parameters):
    return ConvSparseCoder(n_components, kernel_size=3, random_state=0, **parameters)


def two_layers(**parameters):
    layers = [
        ("conv1", conv(4)),
        ("pool1", SpatialPool("max")),
        ("conv2", conv(6, contrast=0.1)),
        ("pool2", SpatialPool("gaussian", grid=2, power=0.5)),
    ]
    return SparseCodingNetwork(layers, **parameters)


def branches(**parameters):
    layers = [
        (
            f"size{size}",
            SparseCodingNetwork(
                [
                    ("conv", ConvSparseCoder(4, kernel_size=size, random_state=size)),
                    ("pool", SpatialPool("gaussian", grid=2)),
                ]
            ),
        )
        for size in (3, 4, 5)
    ]
    return SparseCodingNetwork(layers, arrangement="parallel", **parameters)


@pytest.fixture(scope="module")
def images():
    return load_digits().images[:200]


def test_a_stack_equals_a_pipeline_of_its_layers(images):
    network = two_layers().fit(images)
    steps = [(name, clone(layer)) for name, layer in network.layers]
    expected = Pipeline(steps).fit_transform(images)
    assert expected.shape == (200, *network.map_shape_)
    found = network.transform(images)
    np.testing.assert_allclose(found, expected.reshape(200, -1), atol=1e-9)


def test_parallel_layers_equal_a_feature_union(images):
    network = branches(image_shape=(8, 8))
    rows = images.reshape(200, -1)
    union = FeatureUnion(
        [
            (name, clone(layer).set_params(image_shape=(8, 8)))
            for name, layer in network.layers
        ]
    )
    assert network.fit(rows).map_shape_ == (2, 2, 24)
    found = network.transform(rows).reshape(200, 4, 3, 8).swapaxes(1, 2)
    expected = union.fit_transform(rows).reshape(200, 3, 4, 8)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_maps_of_several_sizes_are_concatenated_as_rows(images):
    layers = [("fine", SpatialPool(grid=4)), ("coarse", SpatialPool(grid=2))]
    network = SparseCodingNetwork(layers, arrangement="parallel").fit(images)
    assert network.map_shape_ == (20,)
    expected = [
        layer.fit_transform(images).reshape(200, -1) for _, layer in network.layers
    ]
    np.testing.assert_allclose(network.transform(images), np.hstack(expected))
    after = SparseCodingNetwork([("both", network), ("conv", conv(2))])
    with pytest.raises(ValueError, match="rows of 20 numbers"):
        after.fit(images)


def test_a_pool_reads_the_maps_of_parallel_layers(images):
    both = SparseCodingNetwork(
        [("a", conv(3)), ("b", conv(5, depthwise=True))], arrangement="parallel"
    )
    network = SparseCodingNetwork(
        [("both", both), ("pool", SpatialPool("max", grid=2))]
    )
    found = network.fit_transform(images)
    maps = [
        conv(3).fit_transform(images),
        conv(5, depthwise=True).fit_transform(images),
    ]
    expected = np.concatenate(maps, axis=-1).reshape(200, 2, 4, 2, 4, 16).max((2, 4))
    np.testing.assert_allclose(found, expected.reshape(200, -1), atol=1e-9)


def test_outputs_pools_returns_the_maps_of_all_pools(images):
    network = two_layers(outputs="pools").fit(images)
    both = network.transform(images)
    first = SparseCodingNetwork(network.layers[:2]).fit_transform(images)
    last = two_layers().fit_transform(images)
    np.testing.assert_allclose(both, np.hstack([first, last]), atol=1e-9)


@pytest.mark.parametrize("make", [two_layers, branches])
@pytest.mark.parametrize("outputs", ["last", "pools"])
def test_feature_names_hold_layer_map_and_position(images, make, outputs):
    network = make(outputs=outputs).fit(images)
    features = network.transform(images)
    names = list(network.get_feature_names_out())
    assert len(set(names)) == features.shape[1]
    if make is branches:
        name, layer = "size3_pool_map7_y1_x0", network.named_layers_["size3"]
        expected = layer.transform(images).reshape(200, 2, 2, 8)[:, 1, 0, 7]
    else:
        name = "pool2_map7_y1_x0"
        expected = two_layers().fit_transform(images).reshape(200, 2, 2, 12)[:, 1, 0, 7]
    np.testing.assert_allclose(features[:, names.index(name)], expected, atol=1e-9)


@pytest.mark.parametrize("make", [two_layers, branches])
def test_maps_have_the_same_bits_for_every_n_jobs(make):
    images = np.random.default_rng(0).random((2500, 8, 8), dtype=np.float32)
    one_worker = make(n_jobs=1).fit(images).transform(images)
    assert one_worker.dtype == np.float32
    for n_jobs in (2, 3):
        several_workers = make(n_jobs=n_jobs).fit(images).transform(images)
        np.testing.assert_array_equal(several_workers, one_worker)


def test_memory_does_not_grow_with_the_number_of_images():
    network = two_layers().fit(np.random.default_rng(0).random((100, 24, 24)))
    peaks = []
    for n_images in (1000, 3000):
        images = np.random.default_rng(0).random((n_images, 24, 24), dtype=np.float32)
        tracemalloc.start()
        features = network.transform(images)
        peaks.append(tracemalloc.get_traced_memory()[1] - features.nbytes)
        tracemalloc.stop()
    # The maps of the first layer take 18 kB for one image, and 55 MB for all images.
    assert peaks[1] < peaks[0] + 2**20
    assert peaks[1] < 2**25


def test_parameters_of_nested_layers_are_set_by_name(images):
    network = SparseCodingNetwork(
        [("deep", two_layers()), ("pool", SpatialPool(grid=1))]
    )
    assert network.get_params()["deep__conv2__contrast"] == 0.1
    copy = clone(network).set_params(deep__conv2__alpha=2.0, pool=SpatialPool(grid=2))
    assert copy.layers[0][1].layers[2][1].alpha == 2.0
    assert copy.fit(images).map_shape_ == (2, 2, 12)
    assert network.layers[0][1].layers[2][1].alpha == 0.5


def test_fit_does_not_change_the_given_layers(images):
    network = two_layers().fit(images)
    assert not any(vars(layer).keys() & {"map_shape_"} for _, layer in network.layers)
    assert network.named_layers_.conv1.map_shape_ == (8, 8, 8)


def test_grid_search_over_alpha():
    X, y = load_digits(return_X_y=True)
    model = Pipeline(
        [
            ("network", two_layers(image_shape=(8, 8))),
            ("classify", LogisticRegression(max_iter=2000)),
        ]
    )
    grid = {"network__conv1__alpha": [0.5, 2.0]}
    search = GridSearchCV(model, grid, cv=2).fit(X[:600], y[:600])
    assert search.best_params_ == {"network__conv1__alpha": 0.5}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_layer_learns_from_the_maps_of_the_layers_before(images):
    network = two_layers().fit(images)
    below = SparseCodingNetwork(network.layers[:2]).fit(images)
    maps = below.transform(images).reshape(200, 4, 4, 8)
    expected = clone(network.layers[2][1]).fit(maps)
    np.testing.assert_allclose(
        network.named_layers_.conv2.filters_, expected.filters_, atol=1e-7
    )


def test_lossless_networks_reconstruct_images_exactly_and_others_approximately(images):
    lossless = SparseCodingNetwork(
        [
            ("conv", ConvSparseCoder(kernel_size=3, alpha=0.0)),
            ("pool", SpatialPool(window=1)),
        ]
    ).fit(images)
    np.testing.assert_allclose(lossless.reconstruct(images), images, atol=1e-9)
    plain = two_layers().fit(images)
    error = np.square(plain.reconstruct(images) - images).mean()
    assert error < images.var()
    rows = plain.inverse_transform(plain.transform(images))
    assert rows.shape == (200, 64)
    error = [
        np.square(network.fit(images).reconstruct(images) - images).mean()
        for network in (branches(), branches(outputs="pools"))
    ]
    assert max(error) < images.var()
    assert np.isfinite(
        two_layers(outputs="pools").fit(images).reconstruct(images)
    ).all()


def test_a_report_has_one_row_for_every_convolution(images):
    network = SparseCodingNetwork(
        [("deep", two_layers()), ("conv3", conv(2, alpha=50.0))]
    )
    with pytest.warns(UserWarning, match="All codes of the training data are zero"):
        network.fit(images)
    rows = network.report(images)
    assert [row["layer"] for row in rows] == ["deep__conv1", "deep__conv2", "conv3"]
    maps = conv(4).fit_transform(images)
    assert rows[0]["active_fraction"] == pytest.approx((maps > 0).mean())
    assert rows[0]["objective"] < rows[0]["initial_objective"]
    assert rows[0]["n_dead_maps"] == 0
    expected = {"active_fraction": 0.0, "n_dead_maps": 4, "map_shape": (2, 2, 4)}
    assert rows[2] == {**rows[2], **expected}


def test_the_first_partial_fit_is_fit_and_later_ones_update_copies(images):
    network = two_layers().fit(images)
    stream = two_layers().partial_fit(images)
    np.testing.assert_array_equal(stream.transform(images), network.transform(images))
    before = stream.layers_
    filters = before[0][1].filters_
    stream.partial_fit(images[100:])
    assert stream.layers_[0][1].filters_ is not filters
    assert before[0][1].filters_ is filters
    assert stream.layers_[2][1].n_iter_ == before[2][1].n_iter_ + 1


def test_a_failed_fit_changes_nothing(images):
    network = two_layers().fit(images)
    before = dict(vars(network))
    bad = images.copy()
    bad[3, 2, 1] = np.inf
    for method in (
        network.fit,
        network.partial_fit,
        network.set_params(conv1__n_components=9).fit,
    ):
        with pytest.raises(ValueError, match=r"infinity|must be at most 8|was 4 when"):
            method(bad if method != network.fit else images)
        assert vars(network) == before


def test_a_pickled_network_gives_the_same_maps(images):
    network = branches().fit(images)
    again = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(again.transform(images), network.transform(images))


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([], ValueError, "empty"),
        ([("a", SpatialPool()), ("a", SpatialPool())], ValueError, "not unique"),
        ([("a", LogisticRegression())], TypeError, "Pipeline"),
        ([SpatialPool()], TypeError, "not \\(name, layer\\)"),
        ([("p", SpatialPool(window=4)), ("c", conv(9))], ValueError, "at most 8"),
        (
            [("p", SpatialPool(window=4)), ("q", SpatialPool(window=3))],
            ValueError,
            "does not fit",
        ),
        (
            [("p", SpatialPool()), ("c", ConvSparseCoder(alpha="auto"))],
            ValueError,
            "Layer 'c': The 'alpha' parameter",
        ),
    ],
)
def test_wrong_layers_raise_before_any_layer_is_fitted(images, layers, error, message):
    with pytest.raises(error, match=message):
        SparseCodingNetwork(layers).fit(images)


def test_errors_name_the_layer(images):
    inner = SparseCodingNetwork([("deep", ConvSparseCoder(80, kernel_size=3))])
    with pytest.raises(ValueError, match=r"Layer 'stack': Layer 'deep': n_components"):
        SparseCodingNetwork([("stack", inner)]).fit(images)


def test_image_shape_of_a_layer_raises(images):
    layer = ConvSparseCoder(4, image_shape=(8, 8))
    with pytest.raises(ValueError, match="give image_shape to the network"):
        SparseCodingNetwork([("conv", layer)]).fit(images)


@pytest.mark.parametrize("name", ["conv1", "pool1", "conv2", "pool2"])
def test_passthrough_leaves_out_a_layer_of_a_stack(images, name):
    network = two_layers().set_params(**{name: "passthrough"}).fit(images)
    rest = SparseCodingNetwork([pair for pair in network.layers if pair[0] != name])
    expected = rest.fit_transform(images)
    assert len(network.layers_) == 3
    np.testing.assert_array_equal(network.transform(images), expected)
    np.testing.assert_array_equal(network.reconstruct(images), rest.reconstruct(images))
    assert list(network.get_feature_names_out()) == list(rest.get_feature_names_out())
    assert network.report(images) == rest.report(images)
    assert "passthrough" in repr(network)
    streamed = clone(network).partial_fit(images).partial_fit(images)
    assert streamed.transform(images).shape == expected.shape


def test_a_stack_without_layers_returns_the_images(images):
    network = SparseCodingNetwork([("a", "passthrough"), ("b", "passthrough")])
    rows = images.reshape(len(images), -1)
    np.testing.assert_array_equal(network.fit_transform(images), rows)
    np.testing.assert_array_equal(network.inverse_transform(rows), rows)
    assert list(network.named_layers_) == ["a"]


def test_parallel_layers_are_dropped_or_replaced_by_the_images_as_in_feature_union(
    images,
):
    pool = SpatialPool("max", window=3, stride=1)
    layers = [("pool", pool), ("conv", "drop"), ("image", "passthrough")]
    network = SparseCodingNetwork(layers, arrangement="parallel").fit(images)
    expected = [pool.fit_transform(images), images]
    expected = np.hstack([part.reshape(len(images), -1) for part in expected])
    np.testing.assert_array_equal(network.transform(images), expected)
    names = network.get_feature_names_out()
    assert (len(names), names[-1]) == (expected.shape[1], "image_map0_y7_x7")
    with pytest.raises(ValueError, match="All 3 parallel layers are 'drop'"):
        network.set_params(pool="drop", image="drop").fit(images)
    with pytest.raises(TypeError, match="Layer 'pool' of a stack is 'drop'"):
        network.set_params(arrangement="stack").fit(images)


def test_a_grid_search_replaces_layers_by_passthrough(images):
    y = np.arange(len(images)) % 2
    search = GridSearchCV(
        make_sparse_coding_network(
            [("conv1", conv(2, max_iter=0)), ("pool", SpatialPool())]
        ),
        {
            "network__conv1": ["passthrough", conv(2, max_iter=0)],
            "network__pool__window": [2],
        },
        cv=2,
        error_score="raise",
    )
    search.fit(images[:60] + y[:60, None, None], y[:60])
    assert search.predict(images).shape == (len(images),)


def test_html_shows_the_layers_as_those_of_a_pipeline():
    branches = [("fine", ConvSparseCoder(kernel_size=3)), ("coarse", "drop")]
    network = SparseCodingNetwork(
        [
            ("branches", SparseCodingNetwork(branches, arrangement="parallel")),
            ("pool", SpatialPool()),
        ]
    )
    html = network._repr_html_()
    shown = [html.index(name) for name in ("fine", "coarse", "SpatialPool")]
    assert shown == sorted(shown)
    assert html.count('class="sk-parallel-item"') == 2
    assert "ConvSparseCoder" in SparseCodingNetwork()._repr_html_()
