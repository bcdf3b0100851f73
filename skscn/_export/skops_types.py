"""The types of fitted estimators, for skops files that are loaded without pickle."""

# A skops file names the type of every object in it. skops constructs only types that
# are trusted. All types of skscn here are estimators or dataclasses of arrays. Those of
# scikit-learn are attributes of its searches and of its multi-layer perceptrons.
TRUSTED_TYPES = (
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "skscn._coders.imputer.SparseCodingImputer",
    "skscn._coders.mixture.SparseCodingMixture",
    "skscn._coders.non_negative.NonNegativeSparseCoder",
    "skscn._coders.orthogonal.OrthogonalSparseCoder",
    "skscn._core.mixture_online.OnlineMixture",
    "skscn._core.mixture_problems.Dictionary",
    "skscn._core.model_parameters.ModelParameters",
    "skscn._core.moments.CodeMoments",
    "skscn._core.moments.DataMoments",
    "skscn._core.objectives.Iterate",
    "skscn._core.online.OnlineState",
    "skscn._core.online.RowBuffer",
    "skscn._core.projection_histogram.HistogramBins",
    "skscn._core.projection_histogram.LazyEstimate",
    "skscn._core.projection_histogram.ProjectionHistogram",
    "skscn._core.rate_priors.Exponential",
    "skscn._core.rate_priors.Laplace",
    "skscn._core.spike_slab.SpikeSlab",
    "skscn._detection.detector.SparseCodingDetector",
    "skscn._detection.explanation.Explanation",
    "skscn._detection.histograms.FeatureHistograms",
    "skscn._detection.scaling.RobustScaling",
    "skscn._detection.table_model.TableModel",
    "skscn._images.classification.StreamingRidgeClassifier",
    "skscn._images.convolution.ConvSparseCoder",
    "skscn._images.layers.convolution.ConvolutionSettings",
    "skscn._images.layers.convolution.FittedConvolution",
    "skscn._images.layers.patches.PatchGrid",
    "skscn._images.layers.pooling.LinearPooling1D",
    "skscn._images.layers.pooling.Pooling",
    "skscn._images.layers.pooling.WindowPooling1D",
    "skscn._images.layers.whitening.Whitening",
    "skscn._images.network.SparseCodingNetwork",
    "skscn._images.pooling.SpatialPool",
    "skscn._images.ridge_statistics.FeatureMoments",
    "skscn._images.ridge_statistics.RidgeSolution",
    "skscn._images.ridge_statistics.RidgeStatistics",
    "skscn._images.scaler.FlooredScaler",
)


def skops_trusted_types():
    """Return the names of all types that a saved model of skscn may contain.

    ``skops.io.load`` constructs only types that it trusts. With this list it loads
    every estimator of skscn, its explanations, the estimators of scikit-learn that
    skops trusts itself, searches such as GridSearchCV with the default `scoring`, and
    multi-layer perceptrons. It refuses files with any other type, and so it does a
    :class:`NetworkReport`, which contains functions: save its model instead.

    Read more in the :ref:`user guide <persistence>`.

    Returns
    -------
    types : list of str
        The argument `trusted` of ``skops.io.load`` and ``skops.io.loads``. Add the
        types of other packages that a Pipeline contains.

    See Also
    --------
    to_onnx : Return a graph for runtimes without Python.

    Examples
    --------
    >>> from skscn import skops_trusted_types
    >>> "skscn._coders.non_negative.NonNegativeSparseCoder" in skops_trusted_types()
    True
    >>> import skops.io  # doctest: +SKIP
    >>> skops.io.load("model.skops", trusted=skops_trusted_types())  # doctest: +SKIP
    """
    return list(TRUSTED_TYPES)
