"""Exports refuse what they would get wrong, in words, and let NaN through as NaN."""

import pickle
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
from common import orthonormality_error
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skscn import (
    ConvSparseCoder,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    from_torch,
    to_torch,
)

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def layers(channels=1):
    parts = [
        ("conv", ConvSparseCoder(4, kernel_size=3, contrast=0.1, max_iter=2)),
        ("pool", SpatialPool(grid=2, power=0.5)),
    ]
    X = np.random.default_rng(0).normal(size=(60, 8, 8, channels))
    return SparseCodingNetwork(parts, image_shape=(8, 8, channels)).fit(X)


def classifier(seed=0):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, 12)), np.arange(60) % 3
    return make_pipeline(NonNegativeSparseCoder(5), LogisticRegression()).fit(X, y), X


def mlp(*sizes, seed=0):
    torch.manual_seed(seed)
    parts = [nn.Linear(*pair) for pair in pairwise(sizes)]
    return nn.Sequential(parts[0], nn.ReLU(), *parts[1:])


def normal(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def called(network, X):
    with torch.no_grad():
        return network(torch.from_numpy(X)).numpy()


def test_layers_may_be_used_twice():
    X = normal(20, 6)
    relu, square = nn.ReLU(), nn.Linear(6, 6)
    module = nn.Sequential(square, relu, square, relu, nn.Linear(6, 3))
    labels = called(module, X).argmax(axis=1)
    np.testing.assert_array_equal(
        from_torch(module, classes=range(3)).predict(X), labels
    )


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("classes", [[0, 1], [1, 0], ["b", "a"]])
def test_two_classes_keep_their_outputs(classes, n_outputs):
    X, module = normal(50, 6), mlp(6, 5, n_outputs)
    scores = called(module, X)
    if n_outputs == 1:
        scores = np.hstack([0 * scores, scores])
    wanted = np.array(classes)[scores.argmax(axis=1)]
    assert len(set(wanted)) == 2
    np.testing.assert_array_equal(
        from_torch(module, classes=classes).predict(X), wanted
    )


def test_unsorted_classes_keep_their_outputs():
    X, module, classes = normal(50, 6), mlp(6, 5, 4), ["d", "a", "c", "b"]
    wanted = np.array(classes)[called(module, X).argmax(axis=1)]
    np.testing.assert_array_equal(
        from_torch(module, classes=classes).predict(X), wanted
    )
    with pytest.raises(ValueError, match="duplicate classes"):
        from_torch(module, classes=["d", "a", "c", "d"])


@pytest.mark.parametrize("last", [nn.Softmax(dim=1), nn.Softmax(-1), nn.Sigmoid()])
def test_a_last_layer_of_probabilities_is_allowed_with_classes(last):
    X, single = normal(30, 6), isinstance(last, nn.Sigmoid)
    module = nn.Sequential(*mlp(6, 5, 1 if single else 3), last)
    found = from_torch(module, classes=range(2 if single else 3)).predict_proba(X)
    found = found[:, 1:] if single else found
    np.testing.assert_allclose(found, called(module, X), atol=1e-6)
    with pytest.raises(TypeError, match="from_torch takes"):
        from_torch(module)


@pytest.mark.parametrize("shape", [(128,), (8,), (3, 8, 8), (8, 8), (4, 4, 12), ()])
def test_images_of_other_shapes_are_refused(shape):
    network = to_torch(layers(channels=3))
    with pytest.raises(ValueError, match="channels last"):
        network(torch.zeros(5, *shape))
    for good in ((8, 8, 3), (192,)):
        assert len(network(torch.zeros(5, *good))) == 5
        assert len(network(torch.zeros(0, *good))) == 0


def test_images_of_one_channel_have_many_shapes():
    network, X = to_torch(layers()), normal(5, 64)
    wanted = called(network, X)
    for shape in ((8, 8), (8, 8, 1), (1, 8, 8)):
        found = called(network, X.reshape(5, *shape))
        np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)
    with pytest.raises(ValueError, match=r"\(n, 64\).*not \(n, 128\)"):
        network(torch.zeros(5, 128))


def test_networks_are_exported_by_torch_with_any_number_of_samples():
    network, X = to_torch(layers()).eval(), normal(5, 64)
    batch = {0: torch.export.Dim("batch", min=2, max=1000)}
    program = torch.export.export(
        network, (torch.from_numpy(X),), dynamic_shapes={"x": batch}
    )
    more = normal(9, 64)
    found = called(program.module(), more)
    np.testing.assert_allclose(found, called(network, more), atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 1), (4, 13), (12,), (2, 3, 12)])
def test_rows_of_another_width_are_refused(shape):
    network = to_torch(classifier()[0])
    with pytest.raises(ValueError, match="rows of 12 features"):
        network(torch.zeros(shape))


def test_arrays_are_no_tensors():
    network = to_torch(classifier()[0])
    with pytest.raises(TypeError, match=r"not ndarray: give torch\.from_numpy"):
        network(normal(4, 12))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_give_none(value):
    network, X = to_torch(layers()), normal(3, 64)
    X[1, 9] = value
    found = called(network, X)
    assert np.isnan(found[1]).any()
    assert np.isfinite(found[[0, 2]]).all()


@pytest.mark.parametrize("inference", ["map", "mean"])
@pytest.mark.parametrize(
    "coder",
    [
        OrthogonalSparseCoder(5),
        OrthogonalSparseCoder(5, prior="spike_slab"),
        NonNegativeSparseCoder(5),
        NonNegativeSparseCoder(5, prior="spike_slab"),
    ],
    ids=repr,
)
def test_nan_features_give_nan_codes(coder, inference):
    coder = deepcopy(coder).set_params(inference=inference, alpha="auto", max_iter=5)
    X = normal(60, 12)
    network = to_torch(coder.fit(X))
    X[1, 3] = np.nan
    found = called(network, X)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[2:]).all()


def test_networks_of_other_layers_are_refused():
    model, _ = classifier()
    network = to_torch(model)
    network.append(nn.Linear(3, 3))
    with pytest.raises(
        ValueError, match=r"Step '2' was nothing .* is Linear of weight"
    ):
        from_torch(network)
    network = to_torch(model)
    network[-1] = nn.Linear(5, 7)
    with pytest.raises(
        ValueError, match=r"'logisticregression' was .*\(3, 5\).*\(7, 5"
    ):
        from_torch(network)
    network = to_torch(model)
    del network[-1]
    with pytest.raises(ValueError, match=r"'logisticregression' .* is nothing now"):
        from_torch(network)


def test_probabilities_may_be_taken_off():
    model, X = classifier()
    network = to_torch(model, output="probabilities")
    del network[-1]
    found = from_torch(network).decision_function(X)
    np.testing.assert_array_equal(found, model.decision_function(X))


def test_other_weights_in_the_same_layers_come_back():
    model, X = classifier()
    network = to_torch(model, output="probabilities", orthonormal=True)
    network[1] = nn.Linear(5, 3)
    nn.utils.parametrize.remove_parametrizations(network[0].project, "weight")
    found = from_torch(network).predict_proba(X)
    np.testing.assert_allclose(found, called(network, X), atol=1e-5)


@pytest.mark.parametrize("orthonormal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_trained_comes_back_bit_by_bit(orthonormal, dtype):
    X = normal(80, 64)
    coder = NonNegativeSparseCoder(7).fit(X)
    for nearest in (False, True):
        back = from_torch(
            to_torch(coder, orthonormal=orthonormal, dtype=dtype), orthonormal=nearest
        )
        np.testing.assert_array_equal(back.components_, coder.components_)
        np.testing.assert_array_equal(back.transform(X), coder.transform(X))
        assert back._stream.known is not None or coder._online_state.known is None
    network = layers()
    back = from_torch(to_torch(network, orthonormal=orthonormal, dtype=dtype))
    np.testing.assert_array_equal(back.transform(X), network.transform(X))
    more = normal(30, 64)
    np.testing.assert_array_equal(
        back.partial_fit(more).transform(X),
        deepcopy(network).partial_fit(more).transform(X),
    )


@pytest.mark.parametrize("orthonormal", [False, True])
def test_priors_are_read_where_atoms_were_not_trained(orthonormal):
    X = normal(80, 12)
    coder = NonNegativeSparseCoder(5, alpha=0.1).fit(X)
    network = to_torch(coder, orthonormal=orthonormal)
    with torch.no_grad():
        network[0].prior_bias.sub_(1.0)
    back = from_torch(network)
    np.testing.assert_allclose(back.alpha_, coder.alpha_ + 1.0, rtol=1e-6)
    assert orthonormality_error(back.components_) < 1e-5


def test_weights_that_are_no_numbers_are_refused():
    network = to_torch(classifier()[0])
    module = mlp(6, 5, 3)
    with torch.no_grad():
        network[1].weight[0, 0] = torch.nan
        module[2].bias[1] = torch.nan
    with pytest.raises(ValueError, match="'logisticregression' has NaN weights: train"):
        from_torch(network)
    with pytest.raises(ValueError, match="'2' has NaN weights: training diverged"):
        from_torch(module)


@pytest.mark.parametrize("dtype", ["flot", "int64", torch.int32, None.__class__])
def test_dtypes_are_floats(dtype):
    with pytest.raises(ValueError, match=r"dtype=.* is no float of torch"):
        to_torch(classifier()[0], dtype=dtype)


def test_of_a_search_the_best_estimator_is_exported():
    model, X = classifier()
    search = GridSearchCV(model, {"logisticregression__C": [0.1, 1.0]}, cv=2)
    search.fit(X, np.arange(60) % 3)
    network = to_torch(search)
    np.testing.assert_allclose(
        called(network, X), search.decision_function(X), atol=1e-5
    )


def test_states_are_saved_where_networks_cannot_be_pickled():
    model, X = classifier()
    network = pickle.loads(pickle.dumps(to_torch(model)))
    np.testing.assert_array_equal(called(network, X), called(to_torch(model), X))
    kept = to_torch(model, orthonormal=True)
    with torch.no_grad():
        kept[0].prior_bias.sub_(0.1)
    other = to_torch(model, orthonormal=True)
    other.load_state_dict(kept.state_dict())
    np.testing.assert_array_equal(called(other, X), called(kept, X))
