"""A network, scalers and a classifier as a Pipeline, and networks by name."""

from dataclasses import dataclass

from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from skscn._coders.table_network import TABLE_C, make_table_steps
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool
from skscn._images.scaler import FlooredScaler


@dataclass(frozen=True)
class DeepBranch:
    """Two convolutions, one after the other, each with a pool.

    Parameters
    ----------
    first, second : tuple of (int, int or tuple of int)
        Kernel size and atoms of the convolutions, as in `Preset`.
    pool : dict
        Parameters of the average pool between them.
    grid : int
        Number of cells of the last pool, down and to the right.
    depthwise : bool
        Whether the second convolution codes every map of the first by itself.
    """

    first: tuple
    second: tuple
    pool: dict
    grid: int
    depthwise: bool


@dataclass(frozen=True)
class Preset:
    """A network of parallel branches, each a convolution and a pool.

    Parameters
    ----------
    n_components : dict of int to (int or tuple of int)
        Number of atoms for the kernel size of each branch, or (n_components,
        n_dictionaries).
    convolution : dict
        Parameters of all convolutions.
    grid : int
        Number of cells of the pools, down and to the right.
    C : float
        Inverse penalty of the logistic regression.
    deep : tuple of DeepBranch, default=()
        Further branches.
    """

    n_components: dict
    convolution: dict
    grid: int
    C: float
    deep: tuple = ()


PRESETS = {
    "digits": Preset(
        n_components={3: 8, 5: (16, 2), 7: (24, 2), 9: (32, 2)},
        convolution={"padding": "same", "contrast": 0.1, "alpha": 0.5},
        grid=4,
        C=0.01,
        # The second layer of every map is better for strokes, that of all maps together
        # for clothes.
        deep=(
            DeepBranch(
                (5, 8), (5, 8), {"window": 2, "stride": 1}, grid=3, depthwise=True
            ),
            DeepBranch(
                (5, 16),
                (5, (64, 2)),
                {"window": 3, "stride": 2},
                grid=3,
                depthwise=False,
            ),
        ),
    ),
    "natural": Preset(
        n_components={4: (24, 2), 6: (28, 4), 8: (40, 3)},
        # Atoms are learned from few strong codes.
        convolution={
            "padding": "valid",
            "contrast": 0.05,
            "alpha": 2.5,
            "transform_alpha": 0.4,
        },
        grid=3,
        C=0.01,
        deep=(
            DeepBranch(
                (6, (28, 2)),
                (3, (96, 4)),
                {"window": 3, "stride": 2},
                grid=2,
                depthwise=False,
            ),
        ),
    ),
    "signals": Preset(
        n_components={5: 4, 9: 6, 15: 8, 23: 8},
        convolution={"padding": "same", "center_patches": False, "alpha": 0.5},
        grid=8,
        C=0.3,
    ),
}
TABLES = "tables"  # the preset for rows that are not images


def make_sparse_coding_network(
    layers="digits",
    *,
    image_shape=None,
    classifier=None,
    n_jobs=None,
    random_state=None,
    memory=None,
):
    """Make a Pipeline of a network, a scaler and a classifier.

    The network learns without labels, its features are standardized, and the classifier
    learns from them: a convolutional network without backpropagation. For tables it is
    a network of one layer, and the columns are standardized instead.

    Read more in the :ref:`user guide <networks>`, and about tables :ref:`here
    <tables>`.

    Parameters
    ----------
    layers : {"digits", "natural", "signals", "tables"}, list of (str, layer) or \
            SparseCodingNetwork, default="digits"
        The network, or the layers of a stack. "digits" has parallel patches of 3 to 9
        pixels, pooled on a Gaussian grid of 4 × 4, for small images of lines. "natural"
        has patches of 4 to 8 pixels, pooled on a grid of 3 × 3, for color photographs.
        Both have one or two branches of two layers. "signals" has windows of 5 to 23
        samples, pooled on a grid of 8, for rows. All pooled codes are square roots.
        "tables" is for columns of any units: the columns, linear splines of each, and
        codes of both signs of the whitened columns, side by side. Missing values are
        imputed.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images in flat rows. Image
        arrays and tables need none.
    classifier : estimator, default=None
        Classifier of the features, or a regressor. None uses
        :class:`~sklearn.linear_model.LogisticRegression` with ``C=0.01``, for "signals"
        with ``C=0.3``, and for "tables" with ``C=0.1``.
        :class:`StreamingRidgeClassifier` is faster for many images, and
        :class:`~sklearn.svm.SVC` is often more accurate for few.
    n_jobs : int, default=None
        Number of :term:`workers <worker>` of the network. None means every core that
        NumPy would use.
    random_state : int, RandomState instance or None, default=None
        Seed for the layers of a network by name, and for given layers that have none.
    memory : str or object with the joblib.Memory interface, default=None
        Cache of the Pipeline for fitted steps, with which a grid search over the
        classifier fits the network once.

    Returns
    -------
    model : :class:`~sklearn.pipeline.Pipeline`
        With the steps "network", "scale" and "classify". For "tables" with the steps
        "scale", "impute", "network" and "classify", where "network" is a
        :class:`~sklearn.pipeline.FeatureUnion` of "columns", "splines" and "codes".

    Raises
    ------
    ValueError
        If `layers` is an unknown name, or "tables" together with `image_shape`.

    See Also
    --------
    SparseCodingNetwork : The network without a classifier.
    FlooredScaler : The scaler.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skscn import make_sparse_coding_network
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     *load_digits(return_X_y=True), random_state=0
    ... )
    >>> model = make_sparse_coding_network(image_shape=(8, 8), random_state=0)
    >>> model.fit(X_train, y_train).score(X_test, y_test) > 0.98
    True
    """
    if isinstance(layers, str) and layers == TABLES:
        return _make_table_network(
            image_shape, classifier, n_jobs, random_state, memory
        )
    preset = _check_preset(layers) if isinstance(layers, str) else None
    if preset is not None:
        network = _preset_network(preset, check_random_state(random_state))
    else:
        if not isinstance(layers, SparseCodingNetwork):
            layers = SparseCodingNetwork(layers)
        network = clone(layers)
        if random_state is not None:
            _set_random_states(network, check_random_state(random_state))
    if image_shape is not None:
        network.set_params(image_shape=image_shape)
    if n_jobs is not None:
        network.set_params(n_jobs=n_jobs)
    if classifier is None:
        C = (preset or PRESETS["digits"]).C
        classifier = LogisticRegression(C=C, max_iter=300)
    steps = [
        ("network", network),
        ("scale", FlooredScaler()),
        ("classify", classifier),
    ]
    return Pipeline(steps, memory=memory)


def _make_table_network(image_shape, classifier, n_jobs, random_state, memory):
    if image_shape is not None:
        raise ValueError(
            f"image_shape={image_shape} is given, but the columns of tables are not "
            f"pixels. Use another network than {TABLES!r}, or image_shape=None."
        )
    steps = make_table_steps()
    network = steps[-1][1]
    if n_jobs is not None:
        network.set_params(codes__coder__n_jobs=n_jobs)
    if random_state is not None:
        _set_random_states(network, check_random_state(random_state))
    if classifier is None:
        classifier = LogisticRegression(C=TABLE_C, max_iter=1000)
    return Pipeline([*steps, ("classify", classifier)], memory=memory)


def _set_random_states(network, rng):
    """Set the random state of every layer that has none."""
    unset = {
        name: rng.randint(2**31 - 1)
        for name, value in network.get_params().items()
        if name.endswith("random_state") and value is None
    }
    network.set_params(**unset)


def _check_preset(name):
    if name not in PRESETS:
        raise ValueError(
            f"layers={name!r} is none of {sorted([*PRESETS, TABLES])}. Give one of "
            "these names, or a list of (name, layer)."
        )
    return PRESETS[name]


def _preset_network(preset, rng):
    def conv(kernel_size, n_components, **parameters):
        n_dictionaries = 1
        if isinstance(n_components, tuple):
            n_components, n_dictionaries = n_components
        return ConvSparseCoder(
            n_components,
            n_dictionaries=n_dictionaries,
            kernel_size=kernel_size,
            random_state=rng.randint(2**31 - 1),
            **{**preset.convolution, **parameters},
        )

    branches = []
    for kernel_size, n_components in preset.n_components.items():
        layers = [
            ("conv", conv(kernel_size, n_components)),
            ("pool", SpatialPool("gaussian", grid=preset.grid, power=0.5)),
        ]
        branches.append((f"size{kernel_size}", SparseCodingNetwork(layers)))
    for i, deep in enumerate(preset.deep, 1):
        second = {"padding": "same", "contrast": 0.1, "depthwise": deep.depthwise}
        layers = [
            ("conv1", conv(*deep.first)),
            ("pool1", SpatialPool("average", **deep.pool)),
            ("conv2", conv(*deep.second, **second)),
            ("pool2", SpatialPool("gaussian", grid=deep.grid, power=0.5)),
        ]
        branches.append((f"deep{i}", SparseCodingNetwork(layers)))
    return SparseCodingNetwork(branches, arrangement="parallel")
