"""Reports and repairs of torch modules."""

import numpy as np
import pytest

from skscn import interpret_network, repair_network

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def dense():
    return nn.Sequential(
        nn.Linear(20, 15),
        nn.ReLU(),
        nn.Dropout(),
        nn.Sequential(nn.Linear(15, 8, bias=False), nn.ReLU()),
        nn.Linear(8, 3),
    )


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, (3, 2), stride=(2, 1), padding="valid"),
        nn.AvgPool2d(2, stride=1, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 6, 2, padding="same"),
        nn.MaxPool2d(3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 2 * 3, 10),
    )


def flat_images():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
        nn.LogSoftmax(1),
    )


def maps():
    return nn.Sequential(nn.Conv2d(1, 4, (2, 3), padding=(1, 0)), nn.ReLU())


NETWORKS = {
    "dense": (dense, (20,)),
    "convolutional": (convolutional, (3, 12, 11)),
    "flat images": (flat_images, (64,)),
    "maps": (maps, (1, 9, 9)),
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def make_network(name, seed=0, n_samples=30):
    torch.manual_seed(seed)
    build, shape = NETWORKS[name]
    return build().eval(), torch.randn(n_samples, *shape)


def module_outputs(model, X):
    with torch.no_grad():
        return model(X).numpy()


@each_network
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_are_those_of_the_module(name, dtype):
    model, X = make_network(name, n_samples=1000)
    model, X = model.to(dtype), X.to(dtype)
    report = interpret_network(model, X[:50])
    found = report.predict(X)
    np.testing.assert_allclose(found, module_outputs(model, X), atol=1e-5)
    np.testing.assert_array_equal(report.decision_function(X), found)
    np.testing.assert_array_equal(report.predict(X.numpy()), found)
    assert found.dtype == X.numpy().dtype


def test_a_module_is_read_in_evaluation_mode():
    model, X = make_network("dense")
    expected = module_outputs(model, X)
    model.train()
    found = interpret_network(model, X).predict(X)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model.training


@pytest.mark.parametrize("softmax", [nn.Softmax, nn.LogSoftmax])
@pytest.mark.parametrize("dim", [1, 2, 3, -1, -2, -3, None])
@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_a_softmax_is_taken_over_its_axis(softmax, dim):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 2), softmax(dim)
    )
    X = torch.randn(10, 1, 9, 8)
    found = interpret_network(model).predict(X)
    np.testing.assert_allclose(found, module_outputs(model, X), atol=1e-5)
    if dim in (1, -1, None):
        model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3), softmax(dim))
        X = torch.randn(10, 6)
        found = interpret_network(model).predict(X)
        np.testing.assert_allclose(found, module_outputs(model, X), atol=1e-5)


@pytest.mark.parametrize("dim", [0, -2, 2, 4])
def test_a_softmax_over_samples_is_refused(dim):
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3), nn.Softmax(dim))
    report = interpret_network(model)
    with pytest.raises(ValueError, match=rf"3 Softmax has dim={dim}, but is read"):
        report.predict(torch.randn(10, 6))


@each_network
def test_the_report_after_a_repair_describes_the_copy(name):
    model, X = make_network(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    y = np.arange(len(X)) % 3 if name != "maps" else None
    repair = repair_network(
        model, X, y, priors="centered", atoms=True, refit=name != "maps"
    )
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    assert type(repair.model) is type(model)
    np.testing.assert_allclose(
        repair.after.predict(X), module_outputs(repair.model, X), atol=1e-5
    )
    for layer in repair.after.layers:
        assert layer.orthogonality_error < 1e-5
        assert layer.positive_bias_fraction_centered == 0.0
    if y is not None:
        expected = np.mean(module_outputs(model, X).argmax(axis=1) == y)
        assert repair.score_before == expected


def test_a_module_is_interpreted_and_repaired_without_data():
    model, _ = make_network("convolutional")
    report = interpret_network(model)
    assert [layer.name for layer in report.layers] == ["0 Conv2d", "6 Conv2d"]
    first = report.layers[0]
    expected = model[0].weight.detach().numpy().transpose(0, 2, 3, 1)
    found = first.atoms * first.norms[:, None, None, None]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    repaired = report.repair().model
    assert (repaired[0].bias <= 0).all()
    assert torch.equal(repaired[-1].bias, model[-1].bias)


def test_the_exact_code_of_a_patch_is_that_of_its_row():
    model, X = make_network("maps")
    report = interpret_network(model, X)
    codes = report.transform(X, inference="exact")
    padded = np.pad(X.numpy(), ((0, 0), (0, 0), (1, 1), (0, 0)))
    patch = padded[3, 0, 4:6, 2:5].reshape(1, -1)
    layer = model[0]
    row = [(layer.weight.detach().numpy().reshape(4, -1), layer.bias.detach().numpy())]
    alone = interpret_network(row, readout=False).transform(patch, inference="exact")
    np.testing.assert_allclose(codes[3, 4, 2], alone[0], atol=1e-4)


def test_log_likelihoods_of_a_convolution_are_summed_over_positions():
    model, X = make_network("maps")
    report = interpret_network(model, X)
    density = report.layers[0].density
    padded = np.pad(X.numpy()[:, 0], ((0, 0), (1, 1), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (2, 3), axis=(1, 2))
    rows = views.reshape(-1, 6).astype(np.float64)
    expected = density.log_likelihood(rows).reshape(len(X), -1).sum(axis=1)
    np.testing.assert_allclose(report.score_samples(X), expected)


def test_a_missing_bias_is_added_if_a_repair_needs_it():
    model, X = make_network("dense")
    model[0].bias.data += 1.0
    repaired = repair_network(model, X, priors="centered").model
    assert model[3][0].bias is None
    assert (repaired[3][0].bias < 0).any()
    assert repair_network(model).model[3][0].bias is None


class Squared(nn.Linear):
    def forward(self, values):
        return super().forward(values**2)


class Named(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(3, 2), nn.ReLU())


def test_a_subclass_of_sequential_is_read():
    assert interpret_network(Named()).layers[0].n_units == 2


UNREADABLE = {
    "Squared has a forward of its own": lambda: nn.Sequential(Squared(3, 2), nn.ReLU()),
    "Tanh": lambda: nn.Sequential(nn.Linear(3, 2), nn.Tanh()),
    "only ReLU": lambda: nn.Sequential(nn.Linear(3, 2), nn.GELU()),
    "fuse_linear_bn": lambda: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)),
    "fuse_conv_bn": lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2)),
    "BatchNorm2d": lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2)),
    "groups=2": lambda: nn.Conv2d(2, 4, 2, groups=2),
    "dilation=": lambda: nn.Conv2d(2, 4, 2, dilation=2),
    "padding_mode=": lambda: nn.Conv2d(2, 4, 2, padding=1, padding_mode="reflect"),
    "ceil_mode": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.MaxPool2d(2, ceil_mode=True)
    ),
    "output_size=": lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.AdaptiveAvgPool2d(2)),
    "neither a Linear": lambda: nn.Sequential(nn.ReLU()),
    "no hidden layer": lambda: nn.Sequential(nn.Linear(3, 2)),
}


@pytest.mark.parametrize("words", UNREADABLE)
def test_the_error_names_the_layer_that_cannot_be_read(words):
    with pytest.raises(ValueError, match=words):
        interpret_network(UNREADABLE[words]())


def test_wrong_shapes_raise_an_error():
    model, X = make_network("convolutional")
    with pytest.raises(ValueError, match=r"\(30, 2, 12, 11\).* of 3 channels"):
        interpret_network(model, X[:, :2])
    with pytest.raises(ValueError, match=r"channels are last: np.moveaxis\(X, 3, 1\)"):
        interpret_network(model, X.permute(0, 2, 3, 1))
    with pytest.raises(ValueError, match=r"X.reshape\(-1, 3, height, width\)"):
        interpret_network(model, X.flatten(1))
    with pytest.raises(ValueError, match="dimensions"):
        interpret_network(model, X[0])
    with pytest.raises(ValueError, match="rows of 36 features"):
        interpret_network(model, torch.randn(4, 3, 16, 16))
    with pytest.raises(ValueError, match="does not fit"):
        interpret_network(model, torch.randn(4, 3, 3, 3))
    missing = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Linear(2, 2))
    with pytest.raises(ValueError, match="Is a Flatten missing"):
        interpret_network(missing, torch.randn(4, 1, 5, 5))


def test_modules_that_occur_twice_are_read_but_not_repaired():
    torch.manual_seed(0)
    relu, twice = nn.ReLU(), nn.Linear(6, 6)
    model = nn.Sequential(nn.Linear(9, 6), relu, twice, relu, twice, relu)
    X = torch.randn(20, 9)
    report = interpret_network(model, X)
    assert len(report.layers) == 3
    np.testing.assert_allclose(report.predict(X), module_outputs(model, X), atol=1e-6)
    with pytest.raises(ValueError, match="2 and 4 share their weight"):
        report.repair()
    separate = nn.Sequential(nn.Linear(9, 6), relu, nn.Linear(6, 6), relu)
    repair = repair_network(separate, X)
    np.testing.assert_allclose(
        repair.after.predict(X), module_outputs(repair.model, X), atol=1e-6
    )


def test_modules_with_hooks_raise_an_error():
    from torch.nn.utils import prune

    model = nn.Sequential(nn.Linear(9, 6), nn.ReLU())
    prune.l1_unstructured(model[0], "weight", 0.5)
    with pytest.raises(ValueError, match=r"0 Linear has hooks.*prune\.remove"):
        interpret_network(model)
    prune.remove(model[0], "weight")
    assert (interpret_network(model).layers[0].atoms == 0).sum() == 27
    model.register_forward_hook(lambda module, inputs, found: 2 * found)
    with pytest.raises(ValueError, match="The module Sequential has hooks"):
        interpret_network(model)


def test_parametrized_weights_are_read_but_not_repaired():
    torch.manual_seed(0)
    normed = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(9, 6))
    model, X = nn.Sequential(normed, nn.ReLU()), torch.randn(20, 9)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    report = interpret_network(model, X)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    expected = module_outputs(model.eval(), X)
    np.testing.assert_allclose(report.predict(X), expected, atol=1e-6)
    with pytest.raises(ValueError, match="remove_parametrizations"):
        report.repair()


def test_half_precision_is_read_in_single_precision():
    model, X = make_network("dense")
    half = model.to(torch.bfloat16)
    found = interpret_network(half, X.to(torch.bfloat16)).predict(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, module_outputs(half.float(), X), atol=1e-5)
    assert repair_network(half.to(torch.bfloat16)).model[0].bias.dtype == torch.bfloat16
