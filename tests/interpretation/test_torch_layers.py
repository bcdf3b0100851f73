"""Every layer of torch is read with equal outputs, or refused with its name."""

from functools import partial
from itertools import product

import numpy as np
import pytest

from skscn import from_torch, interpret_network, repair_network

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

CONVOLUTIONS = [
    {
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "padding_mode": mode,
    }
    for kernel_size, stride, padding, dilation, groups, mode in product(
        (1, 3, (3, 2)),
        (1, (2, 1)),
        (0, (1, 0), "same", "valid"),
        (1, 2),
        (1, 2),
        ("zeros", "reflect", "circular"),
    )
    if padding != "same" or stride == 1
]
READ = [
    nn.Identity(),
    nn.Dropout(),
    nn.Dropout2d(),
    nn.AlphaDropout(),
    nn.ReLU(),
    nn.Softmax(1),
    nn.LogSoftmax(-1),
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, 1, padding=1),
    nn.MaxPool2d((2, 1), (1, 2)),
    nn.AvgPool2d(2),
    nn.AvgPool2d(3, 2, padding=1),
    nn.AdaptiveAvgPool2d(1),
]
REFUSED = [
    nn.GELU(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.LeakyReLU(),
    nn.ReLU6(),
    nn.PReLU(),
    nn.Threshold(0.1, 0),
    nn.Softmax2d(),
    nn.BatchNorm2d(4),
    nn.InstanceNorm2d(4),
    nn.GroupNorm(2, 4),
    nn.LocalResponseNorm(2),
    nn.MaxPool2d(2, dilation=2),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.AvgPool2d(2, ceil_mode=True),
    nn.AvgPool2d(2, divisor_override=3),
    nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    nn.AdaptiveAvgPool2d(2),
    nn.AdaptiveMaxPool2d(1),
    nn.ZeroPad2d(1),
    nn.PixelShuffle(2),
    nn.Upsample(scale_factor=2),
    nn.Flatten(2),
    nn.Flatten(0),
    nn.ConvTranspose2d(4, 4, 2),
]


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class DoubleReLU(nn.ReLU):
    def forward(self, x):
        return 2 * super().forward(x)


class ShiftedLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1


class OwnForward(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.forward = lambda x: 2 * nn.Linear.forward(self, x)


def sequential(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers).eval()


def result_or_none(function, model, message):
    """Return the result of a function, or None if it raises an error of that text."""
    try:
        return function(model)
    except (TypeError, ValueError) as error:
        if message not in str(error):
            raise
    return None


def assert_equal_outputs(model, X):
    with torch.no_grad():
        expected = model(X).numpy()
    report = interpret_network(model, X)
    np.testing.assert_allclose(report.predict(X), expected, atol=1e-5)
    repaired = repair_network(model, X, priors="centered", atoms=True)
    with torch.no_grad():
        expected = repaired.model(X).numpy()
    found = repaired.after.predict(X)
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, expected.max()))


def is_read(options):
    pads = options["padding"] not in (0, "valid")
    return (
        options["groups"] == 1
        and options["dilation"] == 1
        and (options["padding_mode"] == "zeros" or not pads)
    )


def test_convolutions_are_read_with_equal_outputs_or_refused():
    X = torch.randn(5, 2, 7, 6)
    n_read = 0
    for options in CONVOLUTIONS:
        convolution = nn.Conv2d(2, 4, **options)
        model = sequential(convolution, nn.ReLU(), nn.Conv2d(4, 3, 1))
        if is_read(options):
            assert_equal_outputs(model, X)
            n_read += 1
            continue
        with pytest.raises(ValueError, match=r"has (groups|dilation|padding_mode)="):
            interpret_network(model, X)
    assert n_read > 30


def surroundings(layer):
    """Yield networks of maps with a layer at all places."""
    yield [nn.Conv2d(2, 4, 2), nn.ReLU(), layer]
    yield [nn.Conv2d(2, 4, 2), layer, nn.ReLU()]
    yield [nn.Conv2d(2, 4, 2), nn.AvgPool2d(2, 1), layer, nn.Conv2d(4, 4, 1), nn.ReLU()]
    yield [layer, nn.Conv2d(4, 3, 1), nn.ReLU(), nn.Flatten()]


@pytest.mark.parametrize("layer", READ, ids=repr)
def test_layers_are_read_with_equal_outputs(layer):
    for layers in surroundings(layer):
        model = sequential(*layers)
        X = torch.randn(5, 4 if model[0] is layer else 2, 8, 7)
        # There is no hidden layer if a softmax comes before the ReLU.
        if result_or_none(interpret_network, model, message="no hidden layer"):
            assert_equal_outputs(model, X)


@pytest.mark.parametrize("layer", REFUSED, ids=repr)
def test_layers_are_refused_by_name(layer):
    for layers in surroundings(layer):
        name = f"{layers.index(layer)} {type(layer).__name__} "
        with pytest.raises(ValueError, match=name):
            interpret_network(sequential(*layers))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Residual(nn.Linear(4, 4)),
        DoubleReLU,
        lambda: ShiftedLinear(4, 4),
        lambda: OwnForward(4, 4),
        lambda: nn.utils.spectral_norm(nn.Linear(4, 4)),
    ],
)
def test_modules_whose_outputs_are_not_those_of_torch_are_refused(layer):
    for layers in (
        [layer(), nn.ReLU(), nn.Linear(4, 3)],
        [nn.Linear(4, 4), nn.ReLU(), layer(), nn.ReLU(), nn.Linear(4, 3)],
        [nn.Linear(4, 4), layer(), nn.Linear(4, 3)],
    ):
        model = sequential(*layers)
        message = "has a forward of its own|has hooks"
        with pytest.raises(ValueError, match=message):
            interpret_network(model)
        with pytest.raises(ValueError, match=message):
            from_torch(model)
    whole = Residual(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    for read in (interpret_network, from_torch):
        with pytest.raises(ValueError, match="The module Residual has a forward"):
            read(whole)


@pytest.mark.parametrize(
    "layer", [*READ, *REFUSED, nn.Flatten(), nn.LogSoftmax(1), nn.ELU()], ids=repr
)
@pytest.mark.parametrize("classes", [None, [0, 1, 2]])
def test_perceptrons_have_equal_outputs_or_are_refused(layer, classes):
    X = torch.randn(20, 4)
    for layers in (
        [nn.Linear(4, 5), layer, nn.Linear(5, 3)],
        [nn.Linear(4, 5), nn.ReLU(), layer, nn.Linear(5, 3)],
        [nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3), layer],
        [layer, nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)],
    ):
        model = sequential(*layers)
        call = partial(from_torch, classes=classes)
        perceptron = result_or_none(call, model, message="from_torch takes")
        if perceptron is None:
            continue
        with torch.no_grad():
            expected = model(X).numpy()
        if classes is None:
            np.testing.assert_allclose(perceptron.predict(X), expected, atol=1e-5)
        else:
            labels = expected.argmax(axis=1)
            np.testing.assert_array_equal(perceptron.predict(X), labels)
