"""Running a network on samples, block by block and hidden layer by hidden layer.

A network is a sequence of operations. `Branches` are several sequences that read the
same samples.
"""

from dataclasses import dataclass, replace

import numpy as np

from skscn._data.progress import report_progress
from skscn._images.layers.composition import concatenated_shape
from skscn._interpretation.operations import AffineLayer, Operation

BLOCK_NUMBERS = 2**21  # numbers in the patches of a block, 16 MB in float64


@dataclass(frozen=True, eq=False)
class Branches(Operation):
    """Sequences of operations on the same samples, whose outputs are concatenated.

    Parameters
    ----------
    branches : tuple of tuple of Operation
    as_rows : bool, default=False
        Whether maps become rows. Otherwise maps of one height and width are
        concatenated along the channels.
    """

    branches: tuple
    as_rows: bool = False

    def astype(self, dtype):
        branches = tuple(_astype(branch, dtype) for branch in self.branches)
        return replace(self, branches=branches)

    def __call__(self, samples):
        return self.join([_apply(branch, samples) for branch in self.branches])

    def output_shape(self, shape):
        shapes = [_shape_and_size(branch, shape)[0] for branch in self.branches]
        return self._joined_shape(shapes)

    def join(self, outputs):
        """Return the concatenated outputs of the branches."""
        shape = self._joined_shape([array.shape[1:] for array in outputs])
        if len(shape) == 1:
            outputs = [array.reshape(len(array), -1) for array in outputs]
        return np.concatenate(outputs, axis=-1)

    def _joined_shape(self, shapes):
        if self.as_rows:
            shapes = [(int(np.prod(shape)),) for shape in shapes]
        return concatenated_shape(shapes)[1]


def iter_operations(operations):
    """Yield the operations, and in place of branches the operations in them."""
    for operation in operations:
        if isinstance(operation, Branches):
            for branch in operation.branches:
                yield from iter_operations(branch)
        else:
            yield operation


def hidden_layers(operations):
    """Return the hidden layers of a network in their order."""
    return [layer for layer in iter_operations(operations) if layer.is_hidden]


def run_hidden_layers(operations, values):
    """Run the network, and let the caller compute the outputs of its hidden layers.

    Yields
    ------
    layer : AffineLayer
        A hidden layer, whose outputs are expected by `send`.
    inputs : ndarray
        Its input.

    Returns
    -------
    outputs : ndarray
        Of the network.
    """
    for operation in operations:
        if operation.is_hidden:
            values = yield operation, values
        elif isinstance(operation, Branches):
            outputs = []
            for branch in operation.branches:
                result = yield from run_hidden_layers(branch, values)
                outputs.append(result)
            values = operation.join(outputs)
        else:
            values = operation(values)
    return values


def compute_dtype(operations, samples):
    """Return the wider dtype of the samples and of the weights.

    In the dtype of the samples, rounded weights would deviate from those of the model
    by the level of the samples times their rounding error.
    """
    operations = iter_operations(operations)
    layers = (each for each in operations if isinstance(each, AffineLayer))
    return np.result_type(samples.dtype, *(layer.weight.dtype for layer in layers))


def sample_blocks(operations, samples):
    """Return slices of samples, small enough that their patches stay in memory.

    Raise ValueError if the operations do not fit the samples, or each other.

    Parameters
    ----------
    operations : sequence of Operation
    samples : ndarray of shape (n_samples, ...)
    """
    shape = samples.shape[1:]
    _, n_numbers = _shape_and_size(operations, shape)
    size = max(1, BLOCK_NUMBERS // max(n_numbers, 1))
    blocks = [slice(start, start + size) for start in range(0, len(samples), size)]
    return report_progress(blocks, len(blocks))


def _shape_and_size(operations, shape):
    """Return the shape of an output, and the most numbers that a layer needs for it."""
    n_numbers = int(np.prod(shape))
    for operation in operations:
        if isinstance(operation, Branches):
            sizes = [_shape_and_size(b, shape)[1] for b in operation.branches]
            n_numbers = max(n_numbers, *sizes)
        shape = operation.output_shape(shape)
        if isinstance(operation, AffineLayer):
            n_positions = int(np.prod(shape[:-1]))
            n_numbers = max(n_numbers, n_positions * sum(operation.weight.shape))
    return shape, n_numbers


def hidden_layer_blocks(operations, samples):
    """Run the network, and yield the inputs and outputs of every hidden layer.

    Yields
    ------
    block : slice
        Of the samples.
    index : int
        Of the hidden layer.
    layer : AffineLayer
    inputs, outputs : ndarray
        Of the layer, for the samples of the block.
    """
    dtype = compute_dtype(operations, samples)
    operations = _astype(operations, dtype)
    for block in sample_blocks(operations, samples):
        steps = run_hidden_layers(operations, samples[block].astype(dtype, copy=False))
        outputs, index = None, 0
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                try:
                    layer, inputs = steps.send(outputs)
                except StopIteration as end:
                    _check_finite(end.value, "The output of the network")
                    break
                outputs = layer(inputs)
            _check_finite(inputs, f"The input of {layer.name}")
            _check_finite(outputs, f"The output of {layer.name}")
            yield block, index, layer, inputs, outputs
            index += 1


def _check_finite(values, name):
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name} exceeds the largest number of {values.dtype}. Scale the samples, "
            "or the weights."
        )


def select_rows(rows, block, samples, max_rows):
    """Return the rows of a block that are among `max_rows` spread evenly over all rows.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_inputs)
        As many for every sample of the block.
    block : slice
    samples : ndarray of shape (n_samples, ...)
        Of which the block is a part.
    max_rows : int

    Returns
    -------
    rows : ndarray of shape (n_selected, n_inputs), float64
    """
    n_positions = len(rows) // len(samples[block])
    n_rows = len(samples) * n_positions
    n_selected = min(max_rows, n_rows)
    indices = np.arange(n_selected) * n_rows // n_selected - block.start * n_positions
    indices = indices[(indices >= 0) & (indices < len(rows))]
    return rows[indices].astype(np.float64)


def _astype(operations, dtype):
    return tuple(operation.astype(dtype) for operation in operations)


def _apply(operations, samples):
    for operation in operations:
        samples = operation(samples)
    return samples
