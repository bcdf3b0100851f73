"""An ONNX graph under construction, and its tensors, which have arithmetic."""

from functools import partialmethod

import numpy as np
from onnx import TensorProto, numpy_helper

ONNX_TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
}


class Graph:
    """Nodes and constants that are added to a container of skl2onnx.

    Its methods return the `Tensor` that a new node computes. Their arguments are
    tensors, and arrays or numbers, which become constants.

    Parameters
    ----------
    scope, container
        Arguments of a converter of skl2onnx.
    dtype : dtype
        The float type of constants.
    """

    def __init__(self, scope, container, dtype):
        self.scope, self.container = scope, container
        self.dtype = np.dtype(dtype)

    def node(self, operator, *inputs, **attributes):
        """Add a node of an ONNX operator."""
        name = self.scope.get_unique_variable_name(operator.lower())
        self._add_node(operator, inputs, [name], attributes)
        return Tensor(self, name)

    def constant(self, value):
        """Add a constant; arrays of integers and of text keep their type."""
        value = np.asarray(value)
        name = self.scope.get_unique_variable_name("constant")
        if value.dtype.kind in "OU":
            texts = [str(text).encode() for text in value]
            self.container.add_initializer(
                name, TensorProto.STRING, [len(texts)], texts
            )
            return Tensor(self, name)
        if value.dtype.kind != "i" or value.ndim == 0:
            value = value.astype(self.dtype)
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        self.container.add_initializer(name, None, None, tensor)
        return Tensor(self, name)

    def input(self, variable):
        """Return an input of a step, converted to the float type of the graph."""
        return self.cast(Tensor(self, variable.full_name), self.dtype)

    def output(self, x, variable):
        """Give a tensor the name of an output of a step."""
        self._add_node("Identity", [x], [variable.full_name], {})

    def cast(self, x, dtype):
        """Convert a tensor to a float type."""
        return self.node("Cast", x, to=ONNX_TYPES[np.dtype(dtype)])

    def reshape(self, x, *shape):
        """Change the shape: 0 keeps the size of an axis, -1 takes what remains."""
        return self.node("Reshape", x, np.array(shape, dtype=np.int64))

    def transpose(self, x, *axes):
        """Permute the axes."""
        return self.node("Transpose", x, perm=list(axes))

    def concatenate(self, tensors, axis):
        """Join tensors along an axis."""
        return self.node("Concat", *tensors, axis=axis)

    def keep_largest(self, x, ranks, n_kept):
        """Set all but the entries of largest rank of every row to zero.

        Of equal ranks the first are kept. NaN stays.
        """
        names = [
            self.scope.get_unique_variable_name(name) for name in ("values", "indices")
        ]
        inputs = [ranks, np.array([n_kept], dtype=np.int64)]
        self._add_node("TopK", inputs, names, {"axis": 1})
        best = Tensor(self, names[1])
        zeros, ones = (
            self.node("Expand", np.array([value]), self.node("Shape", like))
            for value, like in ((0.0, x), (1.0, best))
        )
        return x * self.node("ScatterElements", zeros, best, ones, axis=1)

    # Under the names of torch, for `encode`.
    abs = partialmethod(node, "Abs")
    exp = partialmethod(node, "Exp")
    log = partialmethod(node, "Log")
    relu = partialmethod(node, "Relu")
    sigmoid = partialmethod(node, "Sigmoid")
    where = partialmethod(node, "Where")

    def _add_node(self, operator, inputs, outputs, attributes):
        names = [
            x.name if isinstance(x, Tensor) else self.constant(x).name for x in inputs
        ]
        name = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, names, outputs, name=name, **attributes)


def _binary_operator(operator):
    """Return methods that add the node of an operator, for both orders of operands."""

    def method(tensor, other):
        return tensor.graph.node(operator, tensor, other)

    def reflected(tensor, other):
        return tensor.graph.node(operator, other, tensor)

    return method, reflected


class Tensor:
    """A tensor of a graph. Arithmetic with it adds a node and returns its tensor.

    Parameters
    ----------
    graph : Graph
    name : str
    """

    __array_ufunc__ = None  # array + tensor is then computed by the tensor

    def __init__(self, graph, name):
        self.graph, self.name = graph, name

    __add__, __radd__ = _binary_operator("Add")
    __sub__, __rsub__ = _binary_operator("Sub")
    __mul__, __rmul__ = _binary_operator("Mul")
    __truediv__, __rtruediv__ = _binary_operator("Div")
    __gt__, __lt__ = _binary_operator("Greater")
    __ge__, __le__ = _binary_operator("GreaterOrEqual")

    def __neg__(self):
        return self.graph.node("Neg", self)
