"""The display of an explanation: which features or pixels make a sample anomalous."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skscn._displays.axes import get_axes
from skscn._displays.validation import check_positive_integer

N_TOP_FEATURES = 10


class ExplanationDisplay:
    """Bar plot of the most anomalous features of a sample, or a map of its pixels.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    features : ndarray of shape (n_features,)
        The part of the score that each feature contributes. The lowest is the most
        anomalous.
    feature_names : array-like of str of shape (n_features,), default=None
        Names of the features. None numbers them.
    score : float, default=None
        The score of the sample, for the title.
    image : ndarray of shape (height, width) or (height, width, channels), default=None
        The image of the sample. With an image, `features` are plotted as a map over it;
        they are the contributions of its entries.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the plot.
    figure_ : matplotlib Figure
        The figure of the axes.
    bars_ : matplotlib BarContainer or None
        The bars of features.
    map_ : matplotlib AxesImage or None
        The map of pixels.

    See Also
    --------
    SparseCodingDetector.explain : Return the explanation as arrays.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skscn import ExplanationDisplay, SparseCodingDetector
    >>> X, _ = load_wine(return_X_y=True, as_frame=True)
    >>> detector = SparseCodingDetector().fit(X)
    >>> anomaly = detector.score_samples(X).argmin()
    >>> display = ExplanationDisplay.from_estimator(detector, X, sample=anomaly)
    >>> display.ax_.get_xlabel()
    'part of the score, nats'
    """

    def __init__(self, features, *, feature_names=None, score=None, image=None):
        self.features = features
        self.feature_names = feature_names
        self.score = score
        self.image = image

    def plot(self, *, ax=None, n_top=N_TOP_FEATURES, **kwargs):
        """Plot the explanation.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to plot on. None creates new ones.
        n_top : int, default=10
            Number of features to plot, the most anomalous first.
        **kwargs : dict
            Keyword arguments of ``ax.barh``, or of ``ax.imshow`` for a map.

        Returns
        -------
        display : ExplanationDisplay
            The display itself.
        """
        ax = get_axes(ax, "ExplanationDisplay.plot")
        self.bars_ = self.map_ = None
        if self.image is None:
            self._plot_bars(ax, n_top, kwargs)
        else:
            self._plot_map(ax, kwargs)
        if self.score is not None:
            ax.set_title(f"score {self.score:.1f}")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        sample=0,
        feature_names=None,
        ax=None,
        n_top=N_TOP_FEATURES,
        **kwargs,
    ):
        """Explain the score of a sample and plot the explanation.

        Parameters
        ----------
        estimator : fitted SparseCodingDetector
            The detector.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples as `explain` of the detector takes them.
        sample : int, default=0
            The index of the sample to plot.
        feature_names : array-like of str of shape (n_features,), default=None
            Names of the features. None takes the names seen in `fit`, or numbers.
        ax : matplotlib Axes, default=None
            The axes to plot on. None creates new ones.
        n_top : int, default=10
            Number of features to plot, the most anomalous first.
        **kwargs : dict
            Keyword arguments of ``ax.barh``, or of ``ax.imshow`` for a map.

        Returns
        -------
        display : ExplanationDisplay
            The display of the explanation.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "explain"):
            raise TypeError(
                f"estimator is a {type(estimator).__name__} without the method "
                "explain: use a SparseCodingDetector."
            )
        if not hasattr(X, "shape"):
            X = np.asarray(X)
        if not -X.shape[0] <= sample < X.shape[0]:
            raise ValueError(
                f"sample={sample} does not exist: X has n_samples={X.shape[0]}."
            )
        row = X.iloc[[sample]] if hasattr(X, "iloc") else X[[sample]]
        explanation = estimator.explain(row)
        image = None
        if explanation.image_shape is not None:
            image = np.asarray(row).reshape(explanation.image_shape)
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        display = cls(
            explanation.features[0],
            feature_names=feature_names,
            score=float(explanation.score[0]),
            image=image,
        )
        return display.plot(ax=ax, n_top=n_top, **kwargs)

    def _plot_bars(self, ax, n_top, kwargs):
        check_positive_integer("n_top", n_top)
        names, n_features = self.feature_names, len(self.features)
        if names is not None and len(names) != n_features:
            raise ValueError(
                f"feature_names has {len(names)} names for {n_features} features: give "
                "one for each feature."
            )
        indices = np.argsort(self.features)[:n_top]
        labels = [f"feature {i}" if names is None else str(names[i]) for i in indices]
        positions = np.arange(len(indices))
        self.bars_ = ax.barh(positions, self.features[indices], **kwargs)
        ax.set(yticks=positions, yticklabels=labels, xlabel="part of the score, nats")
        ax.invert_yaxis()

    def _plot_map(self, ax, kwargs):
        image = self.image.reshape(*self.image.shape[:2], -1)
        anomaly = -self.features.reshape(image.shape).sum(axis=2)
        ax.imshow(image.mean(axis=2), cmap="gray_r", aspect="equal")
        self.map_ = ax.imshow(anomaly, **({"cmap": "Reds", "alpha": 0.6} | kwargs))
        ax.set(xticks=[], yticks=[])
