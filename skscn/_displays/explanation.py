"""The picture of an explanation: which features, or which pixels, were surprising."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import check_matplotlib

N_TOP = 10


class ExplanationDisplay:
    """Bars of the most surprising features of a sample, or a map of its pixels.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    features : ndarray of shape (n_features,)
        What each feature adds to the score, the lowest being the most surprising.
    feature_names : array-like of str of shape (n_features,), default=None
        Names of the features. None numbers them.
    score : float, default=None
        The score, for the title.
    image : ndarray of shape (height, width) or (height, width, channels), default=None
        The image, drawn under a map of `features`, which are those of its entries.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn on.
    figure_ : matplotlib Figure
        Their figure.
    bars_ : matplotlib BarContainer or None
        The bars of features.
    map_ : matplotlib AxesImage or None
        The map of pixels.

    See Also
    --------
    SparseCodingDetector.explain : What is drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skscn import ExplanationDisplay, SparseCodingDetector
    >>> X, _ = load_wine(return_X_y=True, as_frame=True)
    >>> detector = SparseCodingDetector().fit(X)
    >>> strange = detector.score_samples(X).argmin()
    >>> display = ExplanationDisplay.from_estimator(detector, X, sample=strange)
    >>> display.ax_.get_xlabel()
    'part of the score, nats'
    """

    def __init__(self, features, *, feature_names=None, score=None, image=None):
        self.features = features
        self.feature_names = feature_names
        self.score = score
        self.image = image

    def plot(self, *, ax=None, n_top=N_TOP, **kwargs):
        """Draw the explanation.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes new ones.
        n_top : int, default=10
            How many features to show, beginning with the most surprising.
        **kwargs : dict
            For ``ax.barh``, or for ``ax.imshow`` of the map.

        Returns
        -------
        display : ExplanationDisplay
            The display itself.
        """
        check_matplotlib("ExplanationDisplay.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        self.bars_ = self.map_ = None
        if self.image is None:
            self._draw_bars(ax, n_top, kwargs)
        else:
            self._draw_map(ax, kwargs)
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
        n_top=N_TOP,
        **kwargs,
    ):
        """Explain a sample and draw it.

        Parameters
        ----------
        estimator : fitted SparseCodingDetector
            The detector.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, as its `explain` takes them.
        sample : int, default=0
            Which of them to draw.
        feature_names : array-like of str of shape (n_features,), default=None
            Names of the features. None takes those seen in `fit`, or numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes new ones.
        n_top : int, default=10
            How many features to show, beginning with the most surprising.
        **kwargs : dict
            For ``ax.barh``, or for ``ax.imshow`` of the map.

        Returns
        -------
        display : ExplanationDisplay
            What was drawn.
        """
        check_is_fitted(estimator)
        if not hasattr(X, "shape"):
            X = np.asarray(X)
        rows = X.iloc[[sample]] if hasattr(X, "iloc") else X[[sample]]
        explanation = estimator.explain(rows)
        image = None
        if explanation.image_shape is not None:
            image = np.asarray(rows).reshape(explanation.image_shape)
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        display = cls(
            explanation.features[0],
            feature_names=feature_names,
            score=float(explanation.score[0]),
            image=image,
        )
        return display.plot(ax=ax, n_top=n_top, **kwargs)

    def _draw_bars(self, ax, n_top, kwargs):
        if n_top < 1:
            raise ValueError(f"n_top={n_top} must be at least 1: a bar for a feature.")
        names, n_features = self.feature_names, len(self.features)
        if names is not None and len(names) != n_features:
            raise ValueError(
                f"feature_names has {len(names)} names for {n_features} features: give "
                "one for each."
            )
        which = np.argsort(self.features)[:n_top]
        labels = [f"feature {i}" if names is None else str(names[i]) for i in which]
        places = np.arange(len(which))
        self.bars_ = ax.barh(places, self.features[which], **kwargs)
        ax.set(yticks=places, yticklabels=labels, xlabel="part of the score, nats")
        ax.invert_yaxis()

    def _draw_map(self, ax, kwargs):
        image = self.image.reshape(*self.image.shape[:2], -1)
        surprise = -self.features.reshape(image.shape).sum(axis=2)
        ax.imshow(image.mean(axis=2), cmap="gray_r", aspect="equal")
        style = {"cmap": "Reds", "alpha": 0.6} | kwargs
        self.map_ = ax.imshow(surprise, **style)
        ax.set(xticks=[], yticks=[])
