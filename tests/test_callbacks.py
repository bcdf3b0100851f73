"""Callbacks of scikit-learn 1.9 or later; earlier versions fit without them."""

import io

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skscn import (
    ConvSparseCoder,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
)
from skscn._data.sklearn_compat import HAS_CALLBACKS

with_callbacks = pytest.mark.skipif(
    not HAS_CALLBACKS, reason="callbacks need scikit-learn 1.9 or later"
)


class Recorder:
    """Record the events of a fit, and stop it after `stop_after` iterations."""

    def __init__(self, stop_after=None):
        self.stop_after, self.objectives, self.events = stop_after, [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        if context.task_name == "iteration":
            self.objectives.append(fitted_estimator.objective_path_[-1])
            self.codes = fitted_estimator.transform(self.X)
            assert np.isfinite(fitted_estimator.score(self.X))
            return len(self.objectives) == self.stop_after
        return False


@with_callbacks
@pytest.mark.parametrize("Coder", [OrthogonalSparseCoder, NonNegativeSparseCoder])
@pytest.mark.parametrize("alpha", [3.0, "auto"])
def test_callbacks_are_called_at_every_iteration(Coder, alpha, digits):
    recorder = Recorder()
    recorder.X = digits[:5]
    coder = Coder(3, alpha=alpha).set_callbacks(recorder).fit(digits)
    assert recorder.objectives == coder.objective_path_[1:]
    iterations = ["begin iteration", "end iteration"] * coder.n_iter_
    assert recorder.events == ["setup", "begin fit", *iterations, "end fit", "teardown"]


@with_callbacks
def test_a_callback_can_stop_the_fit(digits):
    """There is no warning, and the coder is the one that the callback was given."""
    recorder = Recorder(stop_after=4)
    recorder.X = digits[:5]
    coder = OrthogonalSparseCoder(alpha=3.0, tol=0).set_callbacks(recorder).fit(digits)
    assert coder.n_iter_ == 4
    np.testing.assert_allclose(
        np.sort(np.abs(coder.transform(digits[:5]))), np.sort(np.abs(recorder.codes))
    )


@with_callbacks
def test_a_callback_that_raises_is_torn_down_and_the_coder_is_unchanged(digits):
    class FailingCallback(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise ZeroDivisionError

    callback = FailingCallback()
    coder = OrthogonalSparseCoder(alpha=3.0).set_callbacks(callback)
    before = dict(vars(coder))
    with pytest.raises(ZeroDivisionError):
        coder.fit(digits)
    assert callback.events[-1] == "teardown"
    assert vars(coder) == before


@with_callbacks
def test_the_progress_bar_shows_the_fit_of_a_coder(digits, monkeypatch):
    pytest.importorskip("rich")
    from rich import progress
    from sklearn.callback import ProgressBar

    out = io.StringIO()
    console = progress.Progress().console.__class__(file=out, force_terminal=True)
    monkeypatch.setattr("rich.progress.get_console", lambda: console)
    pipeline = make_pipeline(
        OrthogonalSparseCoder(alpha=3.0, max_iter=5, tol=0.5), LogisticRegression()
    )
    pipeline[0].set_callbacks(ProgressBar())
    pipeline[0].fit(digits)
    assert "OrthogonalSparseCoder" in out.getvalue()


def test_without_callbacks_a_fit_is_the_same(digits, monkeypatch):
    expected = OrthogonalSparseCoder(alpha=3.0).fit(digits)
    monkeypatch.setattr("skscn._data.sklearn_compat.HAS_CALLBACKS", False)
    coder = OrthogonalSparseCoder(alpha=3.0).fit(digits)
    assert coder.objective_path_ == expected.objective_path_


@with_callbacks
def test_callbacks_of_a_network_see_the_fits_of_its_layers(digits):
    class TaskRecorder(Recorder):
        max_propagation_depth = None

        def on_fit_task_begin(self, estimator, context):
            path = [context.task_name]
            while (context := context.parent) is not None:
                path.append(context.task_name)
            self.events.append((type(estimator).__name__, *path))

        def on_fit_task_end(self, estimator, context):
            return False

    layers = [
        ("conv1", ConvSparseCoder(4, kernel_size=3, random_state=0)),
        ("pool1", SpatialPool()),
        ("conv2", ConvSparseCoder(2, kernel_size=3, depthwise=True, random_state=0)),
    ]
    recorder = TaskRecorder()
    network = SparseCodingNetwork(layers).set_callbacks(recorder)
    network.fit(digits.reshape(-1, 8, 8))
    fits = [event for event in recorder.events if event[1] == "fit"]
    names = [event[0] for event in fits]
    assert names.count("OrthogonalSparseCoder") == 1 + 8
    assert names.count("SparseCodingNetwork") == 1
    iterations = [event for event in recorder.events if event[1] == "iteration"]
    assert len(iterations) >= sum(
        layer.n_iter_ for _, layer in network.layers_ if hasattr(layer, "n_iter_")
    )
