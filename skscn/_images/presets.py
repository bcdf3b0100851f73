"""The hierarchical model as a Pipeline, and networks known by name."""

from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from skscn._images.classification import FlooredScaler
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool

# Patch sizes and atoms of the branches, what all of them share, the deep branch, and
# the inverse strength of the penalty on a logistic regression that reads them. The deep
# branch is two layers: patches of the first size with so many atoms and, on every map
# of theirs alone, patches of the second.
PRESETS: dict = {
    "digits": {
        "sizes": {3: 8, 5: 16, 7: 24, 9: 32},
        "layer": {"padding": "same", "contrast": 0.1, "alpha": 0.5},
        "grid": 4,
        "deep": {"sizes": [(5, 8), (5, 8)], "stride": 1, "grid": 3},
        "C": 0.01,
    },
    "natural": {
        "sizes": {4: 32, 6: 56, 8: 72, 12: 96},
        "layer": {"padding": "valid", "contrast": 0.05, "alpha": 0.4},
        "grid": 3,
        "deep": {"sizes": [(6, 12), (5, 8)], "stride": 2, "grid": 2},
        "C": 0.01,
    },
    "signals": {
        "sizes": {5: 4, 9: 6, 15: 8, 23: 8},
        "layer": {"padding": "same", "center_patches": False, "alpha": 0.5},
        "grid": 8,
        "deep": None,
        "C": 0.3,
    },
}


def make_sparse_coding_network(
    layers="digits",
    *,
    image_shape=None,
    classifier=None,
    n_jobs=None,
    random_state=None,
    memory=None,
):
    """Return a network, a scaler and a classifier as a Pipeline.

    The network learns without labels, and every feature is standardised with a floor
    before the classifier reads it: a convolutional network without backpropagation.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    layers : {"digits", "natural", "signals"}, list of (str, layer) or \
            SparseCodingNetwork, default="digits"
        The network, or the layers of a stack. "digits" are patches of 3 to 9 pixels
        side by side, on a Gaussian grid of 4 × 4, for small images of lines; "natural"
        are patches of 4 to 12 pixels on a grid of 3 × 3, for photographs of at least
        12 × 12 in colour. Beside them both have a deep branch, of two layers. "signals"
        are windows of 5 to 23 samples on a grid of 8, for rows. The square root is
        taken of all pooled codes.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images in flat rows. Image
        arrays need none.
    classifier : estimator, default=None
        What reads the features. None takes
        :class:`~sklearn.linear_model.LogisticRegression` with ``C=0.01``, for "signals"
        with ``C=0.3``. :class:`StreamingRidgeClassifier` is faster where there are many
        images, and :class:`~sklearn.svm.SVC` often better where there are few.
    n_jobs : int, default=None
        Number of workers of the network. None means 1, -1 means all cores.
    random_state : int, RandomState instance or None, default=None
        For the layers of a network by name, and for given ones that have none.
    memory : str or object with the joblib.Memory interface, default=None
        Where the Pipeline keeps fitted steps, so that a grid search over the classifier
        learns the network once.

    Returns
    -------
    model : :class:`~sklearn.pipeline.Pipeline`
        With the steps "network", "scale" and "classify".

    Raises
    ------
    ValueError
        If `layers` is a name that there is not.

    See Also
    --------
    SparseCodingNetwork : The network alone.
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
    if isinstance(layers, str):
        network = _named(layers, random_state)
    else:
        if not isinstance(layers, SparseCodingNetwork):
            layers = SparseCodingNetwork(layers)
        network = clone(layers)
        if random_state is not None:
            _seed(network, check_random_state(random_state))
    if image_shape is not None:
        network.set_params(image_shape=image_shape)
    if n_jobs is not None:
        network.set_params(n_jobs=n_jobs)
    if classifier is None:
        named = PRESETS[layers if isinstance(layers, str) else "digits"]
        classifier = LogisticRegression(C=named["C"], max_iter=300)
    steps = [
        ("network", network),
        ("scale", FlooredScaler()),
        ("classify", classifier),
    ]
    return Pipeline(steps, memory=memory)


def _seed(network, rng):
    """Give every layer that has no random state one of its own."""
    unset = {
        name: rng.randint(2**31 - 1)
        for name, value in network.get_params().items()
        if name.endswith("random_state") and value is None
    }
    network.set_params(**unset)


def _named(name, random_state):
    if name not in PRESETS:
        raise ValueError(
            f"layers={name!r} is none of {sorted(PRESETS)}. Give one of these names, "
            "or a list of (name, layer)."
        )
    preset = PRESETS[name]
    rng = check_random_state(random_state)

    def conv(size, n_components, **options):
        return ConvSparseCoder(
            n_components,
            kernel_size=size,
            random_state=rng.randint(2**31 - 1),
            **{**preset["layer"], **options},
        )

    branches = []
    for size, n_components in preset["sizes"].items():
        pool = SpatialPool("gaussian", grid=preset["grid"], power=0.5)
        branch = SparseCodingNetwork(
            [("conv", conv(size, n_components)), ("pool", pool)]
        )
        branches.append((f"size{size}", branch))
    deep = preset["deep"]
    if deep is not None:
        first, second = deep["sizes"]
        layers = [
            ("conv1", conv(*first)),
            ("pool1", SpatialPool("average", window=2, stride=deep["stride"])),
            ("conv2", conv(*second, padding="same", contrast=0.1, depthwise=True)),
            ("pool2", SpatialPool("gaussian", grid=deep["grid"], power=0.5)),
        ]
        branches.append(("deep", SparseCodingNetwork(layers)))
    return SparseCodingNetwork(branches, arrangement="parallel")
