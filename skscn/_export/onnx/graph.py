"""Records of fitted steps as nodes of an ONNX graph, which skl2onnx collects."""

import numpy as np
from onnx import TensorProto, numpy_helper

from skscn._core.marginals import LOG_2_MINUS_LOG_SQRT_2PI, SQRT_2PI
from skscn._core.normal_tail import DENOMINATOR, NUMERATOR

KINDS = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
}


class Graph:
    """Nodes and constants on their way into a graph, in one float type.

    Every method returns the name of what its nodes make.

    Parameters
    ----------
    scope, container : of skl2onnx
    dtype : dtype
        Of constants.
    """

    def __init__(self, scope, container, dtype):
        self.scope, self.container = scope, container
        self.dtype = np.dtype(dtype)

    def node(self, kind, *inputs, **attributes):
        """Add a node; arrays and numbers among its inputs become constants."""
        name = self.scope.get_unique_variable_name(kind.lower())
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.container.add_node(
            kind,
            names,
            [name],
            name=self.scope.get_unique_operator_name(kind),
            **attributes,
        )
        return name

    def constant(self, value):
        """Add a constant; integer arrays stay integers."""
        value = np.asarray(value)
        if value.dtype.kind != "i":
            value = value.astype(self.dtype)
        name = self.scope.get_unique_variable_name("constant")
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        self.container.add_initializer(name, None, None, tensor)
        return name

    def cast(self, x, dtype=None):
        """Convert to a float type."""
        return self.node("Cast", x, to=KINDS[np.dtype(dtype or self.dtype)])

    def reshape(self, x, *shape):
        """Lay out anew; 0 keeps the size of that axis."""
        return self.node("Reshape", x, np.array(shape, dtype=np.int64))

    def output(self, x, name):
        """Give what was made the name of an output."""
        self.container.add_node(
            "Identity", [x], [name], name=self.scope.get_unique_operator_name("Output")
        )


def dense(graph, x, record):
    """Return the codes of rows."""
    if record.mean.any():
        x = graph.node("Sub", x, record.mean)
    u = graph.node("MatMul", x, record.components.T)
    return coded(graph, u, record.code, 0)


def coded(graph, u, code, n_trailing):
    """Return the codes of projections, which are followed by so many axes."""

    def along(row):
        return np.reshape(row, (-1, *[1] * n_trailing))

    threshold = along(code.threshold)
    if code.is_mean:
        return _posterior_mean(graph, u, code, threshold, along)
    if code.prior == "spike_slab":
        size = u if code.one_sided else graph.node("Abs", u)
        beyond = graph.node("Greater", size, threshold)
        codes = graph.node("Where", beyond, u, 0.0)
        if code.shrinkage is None:
            return codes
        return graph.node("Mul", codes, along(code.shrinkage))
    if code.one_sided:
        return graph.node("Relu", graph.node("Sub", u, threshold))
    inside = graph.node("Max", graph.node("Min", u, threshold), -threshold)
    return graph.node("Sub", u, inside)


def conv(graph, x, record):
    """Return the codes of every patch of images (n, channels, height, width)."""
    (above, below), (left, right) = record.geometry.padding
    if any((above, below, left, right)):
        pads = np.array([0, 0, above, left, 0, 0, below, right], dtype=np.int64)
        x = graph.node("Pad", x, pads)
    n_groups, n_components = record.filters.shape[:2]
    filters = np.moveaxis(record.filters, -1, 2)
    filters = filters.reshape(-1, *filters.shape[2:])
    shift, code = record.shift, record.code
    options = {
        "kernel_shape": list(filters.shape[2:]),
        "strides": list(record.geometry.stride),
        "group": n_groups,
    }
    places = record.geometry.places
    if record.contrast is None:
        u = graph.node("Conv", x, filters, shift.ravel(), **options)
    else:
        u = graph.node("Conv", x, filters, **options)
        scale = _inverse_contrast(graph, x, record, options)
        u = graph.reshape(u, 0, n_groups, n_components, *places)
        scale = graph.reshape(scale, 0, n_groups, 1, *places)
        u = graph.node("Mul", u, scale)
        u = graph.node("Add", u, shift[:, :, None, None])
    n_maps = n_groups * n_components
    if not code.split:
        u = graph.reshape(u, 0, n_groups, n_components, *places)
        return graph.reshape(coded(graph, u, code, 2), 0, n_maps, *places)
    u = graph.reshape(u, 0, n_groups, 1, n_components, *places)
    u = graph.node("Concat", u, graph.node("Neg", u), axis=2)
    return graph.reshape(coded(graph, u, code, 2), 0, 2 * n_maps, *places)


def pool(graph, x, record):
    """Return pooled maps."""
    if not record.is_max:
        x = graph.node("MatMul", x, record.columns.weights.T)
        x = graph.node("MatMul", record.rows.weights, x)
    elif record.windows is not None:
        sizes, steps = record.windows
        x = graph.node("MaxPool", x, kernel_shape=list(sizes), strides=list(steps))
    else:
        for axis, which in ((record.columns, 3), (record.rows, 2)):
            starts, ends = np.transpose(axis.windows)
            parts = [
                graph.node("Gather", x, np.minimum(starts + i, ends - 1), axis=which)
                for i in range(max(ends - starts))
            ]
            x = graph.node("Max", *parts)
    if record.power == 1.0:
        return x
    size = graph.node("Abs", x)
    if record.power == 0.5:
        size = graph.node("Sqrt", size)
    else:
        size = graph.node("Pow", size, record.power)
    return graph.node("Mul", graph.node("Sign", x), size)


def rows(graph, x, shape):
    """Return maps (n, channels, height, width) as rows in the order of scikit-learn."""
    if len(shape) == 3:
        x = graph.node("Transpose", x, perm=[0, 2, 3, 1])
    return graph.reshape(x, 0, int(np.prod(shape)))


def _inverse_contrast(graph, x, record, options):
    """Return 1 / √(variance + eps) of the patches of padded images, for every group."""
    eps, centre = record.contrast
    n_groups, channels = options["group"], record.filters.shape[-1]
    box = np.ones((n_groups, channels, *options["kernel_shape"]))
    box /= box[0].size
    centred = graph.node("Sub", x, centre)
    mean = graph.node("Conv", centred, box, **options)
    square = graph.node("Mul", centred, centred)
    square = graph.node("Conv", square, box, **options)
    square = graph.node("Sub", square, graph.node("Mul", mean, mean))
    square = graph.node("Add", graph.node("Max", square, 0.0), eps)
    return graph.node("Reciprocal", graph.node("Sqrt", square))


def _posterior_mean(graph, u, code, threshold, along):
    """Return the posterior mean of coefficients, as `skscn._core.marginals` has it."""
    sigma = np.sqrt(code.noise)
    if code.prior != "spike_slab":
        ahead, log_ahead = _cut_off(
            graph, graph.node("Div", graph.node("Sub", u, threshold), sigma)
        )
        if code.one_sided:
            return graph.node("Mul", ahead, sigma)
        behind, log_behind = _cut_off(
            graph, graph.node("Div", graph.node("Sub", -threshold, u), sigma)
        )
        odds = graph.node("Sub", log_ahead, log_behind)
        share = graph.node("Sigmoid", odds)
        rest = graph.node("Sigmoid", graph.node("Neg", odds))
        mean = graph.node(
            "Sub", graph.node("Mul", share, ahead), graph.node("Mul", rest, behind)
        )
        return graph.node("Mul", mean, sigma)
    kept, log_odds = along(code.kept), along(code.log_odds)
    z = graph.node("Div", u, sigma)
    if not code.one_sided:
        half = graph.node("Mul", graph.node("Mul", z, z), kept / 2)
        share = graph.node("Sigmoid", graph.node("Add", half, log_odds))
        return graph.node("Mul", graph.node("Mul", share, u), kept)
    root = np.sqrt(kept)
    mean, log_mass = _cut_off(graph, graph.node("Mul", z, root))
    share = graph.node(
        "Sigmoid", graph.node("Add", log_mass, log_odds + LOG_2_MINUS_LOG_SQRT_2PI)
    )
    return graph.node("Mul", graph.node("Mul", share, mean), sigma * root)


def _cut_off(graph, x):
    """Return mean and log mass of N(x, 1) cut off below zero."""
    size = graph.node("Abs", x)
    t = graph.node("Div", 2.0, graph.node("Add", size, 2.0))
    excess = graph.node(
        "Div", _polynomial(graph, NUMERATOR, t), _polynomial(graph, DENOMINATOR, t)
    )
    excess = graph.node("Mul", t, excess)
    mills = graph.node("Reciprocal", graph.node("Add", size, excess))
    m = graph.node("Max", x, 0.0)
    half = graph.node("Mul", graph.node("Mul", m, m), 0.5)
    w = graph.node("Exp", graph.node("Neg", half))
    above = graph.node("Greater", x, 0.0)
    rest = graph.node("Sub", SQRT_2PI, graph.node("Mul", w, mills))
    mass = graph.node("Where", above, rest, mills)
    mean = graph.node(
        "Where", above, graph.node("Add", x, graph.node("Div", w, mass)), excess
    )
    return mean, graph.node("Add", graph.node("Log", mass), half)


def _polynomial(graph, coefficients, t):
    total = graph.constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = graph.node("Add", graph.node("Mul", total, t), coefficient)
    return total
