"""Exported torch modules equal what they were made of, and can be trained and read."""

import warnings
from copy import deepcopy

import numpy as np
import pytest
from common import orthonormality_error
from exported import CODERS, N_SAMPLES, off
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
    from_torch,
    make_sparse_coding_network,
    to_torch,
)

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

LAYERS = [
    ConvSparseCoder(4, kernel_size=3, max_iter=5, random_state=0, **options)
    for options in (
        {},
        {"contrast": 0.1},
        {"contrast": 0.1, "depthwise": True, "padding": "valid"},
        {"stride": (2, 3), "padding": (1, 2), "split_sign": False},
        {"prior": "spike_slab", "alpha": np.linspace(0.2, 1.0, 4)},
        {"center_patches": False, "whiten": None, "alpha": 2.0},
    )
]
POOLS = [
    SpatialPool(mode, **options)
    for mode in ("average", "max", "sum")
    for options in (
        {"window": (3, 2), "stride": (1, 2)},
        {"grid": (4, 2), "power": 0.5},
        {"grid": 2, "power": 2.0, "flatten": True},
    )
] + [SpatialPool("gaussian", grid=3, power=0.5)]


def conv(n_components, **options):
    options = {"kernel_size": 3, "max_iter": 3, "random_state": 0, **options}
    return ConvSparseCoder(n_components, **options)


def stack(**options):
    layers = [
        ("conv1", conv(5, contrast=0.1)),
        ("pool1", SpatialPool("max")),
        ("conv2", conv(6, depthwise=True)),
        ("pool2", SpatialPool("gaussian", grid=2, power=0.5)),
    ]
    return SparseCodingNetwork(layers, image_shape=(8, 8), **options)


def branches(*pools):
    layers = [
        (f"branch{i}", SparseCodingNetwork([("conv", conv(3 + i)), ("pool", pool)]))
        for i, pool in enumerate(pools)
    ]
    return SparseCodingNetwork(layers, arrangement="parallel", image_shape=(8, 8))


def maps_of_branches():
    side = branches(SpatialPool("max"), SpatialPool("average"))
    side.set_params(image_shape=None)
    return SparseCodingNetwork([("side", side), ("conv", conv(4))], image_shape=(8, 8))


NETWORKS = [
    stack(),
    stack(outputs="pools"),
    branches(SpatialPool("max"), SpatialPool("sum")),
    branches(SpatialPool(grid=3), SpatialPool("max", grid=2)),
    maps_of_branches(),
]
HEADS = [
    LogisticRegression(max_iter=200),
    StreamingRidgeClassifier(),
    RidgeClassifier(),
    LinearSVC(),
    MLPClassifier((8,), max_iter=5, random_state=0),
]


def images(seed=0):
    rng = np.random.default_rng(seed)
    return 2 + rng.normal(size=(N_SAMPLES, 8, 8, 3))


def called(network, X):
    with torch.no_grad():
        return network(torch.from_numpy(X)).numpy()


def trained(network, X, y, n_steps=5, rate=0.05, clamp=False):
    """Return a network after some steps of a quick descent."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(X), y).backward()
        optimizer.step()
        if clamp:
            network.clamp_priors_()
    return network


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread():
    """Hold torch to one thread, as BLAS is: its threads cost more than they do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def labels():
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)[1][:N_SAMPLES]


@pytest.mark.parametrize("orthonormal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", torch.float64])
@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_codes_of_rows_are_equal(coder, dtype, orthonormal, digits):
    X = digits[:N_SAMPLES]
    coder = deepcopy(coder).fit(X)
    network = to_torch(coder, dtype=dtype, orthonormal=orthonormal)
    single = dtype == "float32"
    assert off(called(network, X), coder.transform(X)) < (1e-5 if single else 1e-12)


@pytest.mark.parametrize("orthonormal", [False, True])
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_maps_of_convolutions_are_equal(layer, orthonormal):
    X = images()
    layer = deepcopy(layer).fit(X[:100])
    network = to_torch(layer, orthonormal=orthonormal)
    rows = X.reshape(N_SAMPLES, -1)
    assert off(called(network, X), layer.transform(X)) < 1e-5
    assert off(called(network, rows), layer.transform(X).reshape(N_SAMPLES, -1)) < 1e-5
    network = to_torch(layer, orthonormal=orthonormal, dtype="float64")
    assert off(called(network, X), layer.transform(X)) < 1e-12


@pytest.mark.parametrize("layer", POOLS, ids=repr)
def test_pooled_maps_are_equal(layer):
    X = images()
    layer = deepcopy(layer).fit(X)
    assert off(called(to_torch(layer), X), layer.transform(X)) < 1e-5
    assert called(to_torch(layer), X.astype(int)).dtype == np.float32


@pytest.mark.parametrize("layer", NETWORKS, ids=lambda layer: str(id(layer)))
def test_networks_are_equal(layer, digits):
    X = digits[:N_SAMPLES]
    layer = deepcopy(layer).fit(X[:200])
    assert off(called(to_torch(layer, dtype="float64"), X), layer.transform(X)) < 1e-12
    pooled = X.reshape(-1, 8, 8)
    assert off(called(to_torch(layer), pooled), layer.transform(pooled)) < 1e-4


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_decisions_and_probabilities_are_equal(head, n_classes, digits, labels):
    X, y = digits[:N_SAMPLES], labels % n_classes
    model = make_pipeline(stack(), FlooredScaler(), deepcopy(head)).fit(
        X[:300], y[:300]
    )
    if hasattr(model, "decision_function"):
        assert off(called(to_torch(model), X), model.decision_function(X)) < 1e-5
    if hasattr(model, "predict_proba"):
        network = to_torch(model, output="probabilities")
        assert off(called(network, X), model.predict_proba(X)) < 1e-5
    else:
        with pytest.raises(ValueError, match="no probabilities"):
            to_torch(model, output="probabilities")
    features = to_torch(model, output="features", dtype="float64")
    assert off(called(features, X), model[:-1].transform(X)) < 1e-12


@pytest.mark.parametrize("name", ["digits", "natural", "signals"])
def test_networks_by_name_are_equal(name, digits, labels):
    X, y = digits[:200], labels[:200]
    shape = None if name == "signals" else (8, 8)
    if name == "natural":
        X = images()[:200].repeat(2, axis=1).repeat(2, axis=2)
        shape = None
    model = make_sparse_coding_network(name, image_shape=shape, random_state=0)
    for key in model.get_params():
        if key.endswith("max_iter") and key.startswith("network"):
            model.set_params(**{key: 2})
    model.fit(X, y)
    assert off(called(to_torch(model), X), model.decision_function(X)) < 1e-5


def test_steps_of_scikit_learn_are_equal(digits, labels):
    X, y = digits[:N_SAMPLES], labels
    union = FeatureUnion(
        [
            ("codes", NonNegativeSparseCoder(5)),
            ("a.b", make_pipeline(MaxAbsScaler(), "passthrough", PCA(6, whiten=True))),
        ]
    )
    for norm in ("l1", "l2", "max"):
        model = Pipeline(
            [
                ("train", StandardScaler()),  # a name that modules have for themselves
                ("union", union),
                ("nothing", FunctionTransformer()),
                ("range", MinMaxScaler((-1, 2))),
                ("norm", Normalizer(norm)),
                ("ridge", Ridge()),
            ]
        ).fit(X, y.astype(float))
        assert off(called(to_torch(model), X), model.predict(X)) < 1e-5


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_perceptrons_go_there_and_back(activation, digits, labels):
    X, y = digits[:N_SAMPLES], labels
    options = {"activation": activation, "max_iter": 3, "random_state": 0}
    for targets in (y, y > 4):
        model = MLPClassifier((20, 9), **options).fit(X, targets)
        network = to_torch(model, output="probabilities")
        assert off(called(network, X), model.predict_proba(X)) < 1e-5
        scores = to_torch(model)
        plain = nn.Sequential(*scores[0])
        plain[-1].__class__ = nn.Linear
        back = from_torch(plain, classes=np.unique(targets))
        assert off(back.predict_proba(X), model.predict_proba(X)) < 1e-6
        assert off(from_torch(scores).predict_proba(X), model.predict_proba(X)) < 1e-12
    model = MLPRegressor(hidden_layer_sizes=(20,), **options).fit(
        X, np.column_stack([y, -y])
    )
    plain = nn.Sequential(*to_torch(model)[0])
    assert off(from_torch(plain).predict(X), model.predict(X)) < 1e-5


def test_a_perceptron_of_two_scores_is_one_of_their_difference():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    wanted = torch.softmax(module(torch.from_numpy(X)), 1).detach().numpy()
    found = from_torch(module, classes=["no", "yes"])
    assert off(found.predict_proba(X), wanted) < 1e-6
    assert set(found.predict(X)) <= {"no", "yes"}


@pytest.mark.parametrize("orthonormal", [False, True])
def test_what_was_not_trained_comes_back_as_it_was(orthonormal, digits, labels):
    X, y = digits[:N_SAMPLES], labels
    model = make_pipeline(stack(), FlooredScaler(), LogisticRegression(max_iter=99))
    model.fit(X[:200], y[:200])
    back = from_torch(to_torch(model, orthonormal=orthonormal))
    tolerance = 1e-5 if orthonormal else 0.0
    assert off(back.decision_function(X), model.decision_function(X)) <= tolerance
    for coder in CODERS[::5]:
        coder = deepcopy(coder).fit(X)
        back = from_torch(to_torch(coder, orthonormal=orthonormal))
        assert off(back.transform(X), coder.transform(X)) <= tolerance


@pytest.mark.parametrize("orthonormal", [False, True])
@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_what_was_trained_comes_back_as_it_is(orthonormal, head, digits, labels):
    X, y = digits[:300], labels[:300]
    model = make_pipeline(stack(), FlooredScaler(), deepcopy(head)).fit(X, y)
    before = model.predict(X)
    network = to_torch(model, orthonormal=orthonormal, dtype="float64")
    network = trained(network, X, y, clamp=True)
    back = from_torch(network)
    if hasattr(back, "decision_function"):
        assert off(called(network, X), back.decision_function(X)) < 1e-10
    assert off(called(network[:-1], X), back[:-1].transform(X)) < 1e-10
    assert not np.allclose(back[0].transform(X), model[0].transform(X))
    np.testing.assert_array_equal(model.predict(X), before)  # never in place
    layer = back[0].named_layers_.conv1
    if orthonormal:
        ((_, coder),) = layer._groups
        assert orthonormality_error(coder.components_) < 1e-10
    assert np.isfinite(back[0].reconstruct(X)).all()
    back[0].partial_fit(X)


@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_trained_coders_of_rows_come_back(coder, digits, labels):
    X, y = digits[:300], labels[:300]
    coder = deepcopy(coder).fit(X)
    model = make_pipeline(coder, LogisticRegression(max_iter=100)).fit(X, y)
    network = trained(
        to_torch(model, orthonormal=True, dtype="float64"), X, y, clamp=True
    )
    back = from_torch(network)
    assert off(called(network, X), back.decision_function(X)) < 1e-10
    assert orthonormality_error(back[0].components_) < 1e-10
    assert np.isfinite(back[0].score_samples(X)).all()
    assert not np.array_equal(back[0].components_, model[0].components_)
    free = trained(to_torch(model, dtype="float64"), X, y, clamp=True)
    with pytest.warns(UserWarning, match="no longer orthonormal"):
        back = from_torch(free)
    assert off(called(free, X), back.decision_function(X)) < 1e-10
    nearest = from_torch(free, orthonormal=True)
    assert orthonormality_error(nearest[0].components_) < 1e-10
    nearest[0].partial_fit(X)


def test_nearest_orthonormal_atoms_of_free_filters(digits, labels):
    X, y = digits[:300], labels[:300]
    model = make_pipeline(stack(), LogisticRegression(max_iter=50)).fit(X, y)
    network = trained(to_torch(model), X, y)
    back = from_torch(network, orthonormal=True)
    for name in ("conv1", "conv2"):
        for _, coder in back[0].named_layers_[name]._groups:
            assert orthonormality_error(coder.components_) < 1e-10
    off_free = off(called(network, X), from_torch(network).decision_function(X))
    assert off_free < 1e-5 < off(called(network, X), back.decision_function(X))


def test_trained_filters_rebuild_images_best_of_all_linear_maps(digits, labels):
    X, y = digits[:300].reshape(-1, 8, 8), labels[:300]
    layer = conv(5, split_sign=False, alpha=0.0, padding="valid", stride=3)
    pool = SpatialPool(window=1, flatten=True)
    model = make_pipeline(layer, pool, LogisticRegression(max_iter=50)).fit(X, y)
    back = from_torch(trained(to_torch(model, dtype="float64"), X, y))
    layer = back[0]
    filters = layer.filters_.reshape(5, -1)
    atoms = layer.atoms_.reshape(5, -1)
    np.testing.assert_allclose(filters @ atoms.T, np.eye(5), atol=1e-10)
    projected = filters @ layer.mean_.ravel()
    np.testing.assert_allclose(projected, -layer.bias_ - layer.alpha_, atol=1e-10)


def test_atoms_that_are_loose_cannot_be_kept(digits, labels):
    X, y = digits[:300], labels[:300]
    head = LogisticRegression(max_iter=50)
    for coder in (NonNegativeSparseCoder(9), stack()):
        model = make_pipeline(deepcopy(coder), head).fit(X, y)
        network = trained(to_torch(model), X, y)
        nearest = from_torch(network, orthonormal=True)
        to_torch(nearest, orthonormal=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loose = from_torch(network)
        assert off(called(to_torch(loose), X), loose.decision_function(X)) < 1e-5
        with pytest.raises(ValueError, match="are not orthonormal"):
            to_torch(loose, orthonormal=True)


def test_negative_priors_are_clamped_or_refused(digits):
    X = digits[:300]
    coder = OrthogonalSparseCoder(8, alpha=0.01).fit(X)
    network = to_torch(coder)
    with torch.no_grad():
        network[0].prior_bias[2] = 0.5
    with pytest.raises(ValueError, match="clamp_priors_"):
        from_torch(network)
    back = from_torch(network.clamp_priors_())
    assert back.alpha_.min() == 0.0
    # A rectifier may break its prior, and does the same in scikit-learn.
    coder = NonNegativeSparseCoder(8, alpha=0.01).fit(X)
    network = to_torch(coder, dtype="float64")
    with torch.no_grad():
        network[0].prior_bias[2] = 0.5
    assert off(called(network, X), from_torch(network).transform(X)) < 1e-12


@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_gradients_of_codes_are_those_of_differences(coder, digits):
    coder = deepcopy(coder).fit(digits)
    network = to_torch(coder, dtype="float64")
    samples = torch.from_numpy(digits[:3]).requires_grad_()
    assert torch.autograd.gradcheck(network, (samples,), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("layer", [*LAYERS, *POOLS[::2], *NETWORKS])
def test_gradients_of_maps_are_those_of_differences(layer):
    X = np.random.default_rng(0).normal(size=(60, 8, 8, 1))
    network = to_torch(deepcopy(layer).fit(X), dtype="float64")
    samples = torch.from_numpy(X[:1]).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda samples: network(samples).flatten(1)[:, ::17],
        (samples,),
        eps=1e-7,
        atol=1e-5,
    )


def test_a_step_against_the_gradient_is_an_attack(digits, labels):
    X, y = digits[:300], labels[:300]
    model = make_sparse_coding_network(stack(), image_shape=(8, 8)).fit(X, y)
    network = to_torch(model)
    samples = torch.from_numpy(X).requires_grad_()
    scores = network(samples)
    nn.functional.cross_entropy(scores, torch.from_numpy(y)).backward()
    step = samples.grad.sign().numpy()
    attacked = model.score(X + 2.0 * step, y)
    noisy = model.score(X + 2.0 * np.random.default_rng(0).choice([-1, 1], X.shape), y)
    assert attacked < noisy - 0.2


@pytest.mark.parametrize("layer", [*LAYERS, *POOLS, *NETWORKS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_finite_at_flat_patches(layer, dtype, digits):
    X = images()[:50]
    if layer.image_shape is not None:
        X = digits[:200].reshape(-1, 8, 8, 1)
    network = to_torch(deepcopy(layer).fit(X), dtype=dtype)
    flat = np.zeros_like(X[:4])
    flat[1] = 3.0
    flat[2, :4] = 1e-30
    flat[3] = X[0]
    flat = torch.from_numpy(flat).requires_grad_()
    network(flat).square().sum().backward()
    assert torch.isfinite(flat.grad).all()
    assert flat.grad[3].abs().max() > 0
    for parameter in network.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_posterior_means_hold_and_differentiate_far_out(digits):
    for coder in CODERS:
        if coder.inference != "mean":
            continue
        coder = deepcopy(coder).fit(digits)
        far = coder.mean_ + np.array([[1e4], [-1e4], [1e-9]]) * coder.components_.sum(0)
        for dtype in ("float32", "float64"):
            samples = torch.from_numpy(far).requires_grad_()
            codes = to_torch(coder, dtype=dtype)(samples)
            codes.sum().backward()
            assert off(codes.detach().numpy(), coder.transform(far)) < 1e-5
            assert torch.isfinite(samples.grad).all()


def test_everything_that_was_learned_gets_a_gradient(digits, labels):
    X, y = digits[:200], labels[:200]
    model = make_sparse_coding_network(stack(), image_shape=(8, 8)).fit(X, y)
    for orthonormal in (False, True):
        network = to_torch(model, orthonormal=orthonormal)
        loss = nn.functional.cross_entropy(
            network(torch.from_numpy(X)), torch.from_numpy(y)
        )
        loss.backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad.abs().max() > 0, name


def test_training_lowers_the_loss_and_keeps_atoms_orthonormal(digits, labels):
    X, y = digits[:300] / 16, labels[:300]
    model = make_pipeline(
        NonNegativeSparseCoder(20, alpha=0.1), LogisticRegression()
    ).fit(X, y)
    network = to_torch(model, orthonormal=True)

    def loss():
        scores = network(torch.from_numpy(X))
        return nn.functional.cross_entropy(scores, torch.from_numpy(y)).item()

    before = loss()
    trained(network, X, y, n_steps=20, rate=0.01, clamp=True)
    assert loss() < before
    atoms = network[0].project.weight.detach().numpy()
    assert orthonormality_error(atoms) < 1e-4
    assert network[0].prior_bias.max().item() <= 0


def test_weights_are_copies_and_states_load(digits, labels):
    X, y = digits[:200], labels[:200]
    model = make_pipeline(stack(), LogisticRegression(max_iter=50)).fit(X, y)
    before = model.decision_function(X)
    network = trained(to_torch(model), X, y)
    np.testing.assert_array_equal(model.decision_function(X), before)
    other = to_torch(model)
    other.load_state_dict(network.state_dict())
    np.testing.assert_array_equal(called(other, X), called(network, X))
    np.testing.assert_array_equal(called(deepcopy(network), X), called(network, X))
    assert isinstance(network[:1], nn.Sequential)


def test_torch_keeps_its_random_state(digits, labels):
    model = make_pipeline(stack(), LogisticRegression(max_iter=50))
    model.fit(digits[:200], labels[:200])
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    to_torch(model), to_torch(model, orthonormal=True)
    assert torch.equal(torch.rand(3), wanted)


def test_bad_input_is_told_with_a_remedy(digits, labels):
    X, y = digits[:200], labels[:200]
    model = make_pipeline(PolynomialFeatures(1), LogisticRegression(max_iter=50))
    with pytest.raises(
        TypeError, match=r"'polynomialfeatures' is .* There are modules"
    ):
        to_torch(model.fit(X, y))
    model = make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression(max_iter=50))
    with pytest.raises(TypeError, match="func=None only"):
        to_torch(model.fit(X, y))
    coder = OrthogonalSparseCoder(3)
    with pytest.raises(NotFittedError):
        to_torch(coder)
    with pytest.raises(ValueError, match="is none of"):
        to_torch(coder.fit(X), output="labels")
    with pytest.raises(ValueError, match="no classifier with probabilities"):
        to_torch(coder, output="probabilities")
    perceptron = MLPClassifier((3,), max_iter=1).fit(X, np.eye(10, dtype=int)[y])
    with pytest.raises(TypeError, match="several labels at once"):
        to_torch(perceptron)
    with pytest.raises(TypeError, match="from_torch takes what to_torch returned"):
        from_torch(nn.Linear(3, 2))
    with pytest.raises(TypeError, match=r"its part '1' is Conv2d"):
        from_torch(nn.Sequential(nn.Linear(3, 2), nn.Conv2d(1, 1, 1)))
    with pytest.raises(TypeError, match="its activations"):
        from_torch(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    with pytest.raises(ValueError, match=r"3 outputs, but there are 2 classes"):
        from_torch(nn.Sequential(nn.Linear(3, 3)), classes=[0, 1])
    with warnings.catch_warnings(), pytest.raises(TypeError):
        from_torch(to_torch(coder)[:0])
