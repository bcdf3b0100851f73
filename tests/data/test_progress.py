"""Progress messages: asked for by joblib's configuration, and silent otherwise."""

import re

import joblib
import numpy as np
import pytest

from skscn import (
    OrthogonalSparseCoder,
    denoise_image,
    interpret_network,
    map_blocks,
)
from skscn._data.parallel import MIN_SLICE_ROWS, map_rows, worker_pool
from skscn._data.progress import report_progress

MESSAGE = re.compile(
    r"\[skscn\]: (\d+) of (\d+) blocks done, [\d.]+ s elapsed, about [\d.]+ s remaining"
)


def counts(text):
    """Return (n_done, n_blocks) of every message; nothing else may be printed."""
    lines = text.splitlines()
    matches = [MESSAGE.fullmatch(line) for line in lines]
    assert all(matches)
    return [tuple(map(int, match.groups())) for match in matches]


def test_nothing_is_printed_unless_asked_for(capsys):
    assert list(report_progress(range(5), 5)) == list(range(5))
    with joblib.parallel_config(verbose=1):  # a message every ten seconds
        assert list(report_progress(range(5), 5)) == list(range(5))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("verbose", "stream"), [(11, "err"), (50, "out")])
def test_a_message_follows_every_result(verbose, stream, capsys):
    with joblib.parallel_config(verbose=verbose):
        results = report_progress(iter("abc"), 3)
        assert next(results) == "a"
        assert capsys.readouterr() == ("", "")  # it is not yet done
        assert list(results) == ["b", "c"]
    assert counts(getattr(capsys.readouterr(), stream)) == [(1, 3), (2, 3), (3, 3)]


def test_messages_keep_their_distance(monkeypatch, capsys):
    times = iter([0.0, 4.0, 9.9, 10.0, 12.0, 20.0, 21.0])
    monkeypatch.setattr("skscn._data.progress.monotonic", lambda: next(times))
    with joblib.parallel_config(verbose=1):
        list(report_progress(range(6), 6))
    # The last message says that all are done, because there was one before.
    text = capsys.readouterr().err
    assert counts(text) == [(3, 6), (5, 6), (6, 6)]
    assert "10.0 s elapsed, about 10.0 s remaining" in text


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_inner_loops_and_all_kinds_of_workers(backend, capfd):
    X = np.zeros((4 * MIN_SLICE_ROWS, 300))
    with joblib.parallel_config(backend=backend, verbose=11):
        for _ in report_progress(range(2), 2):
            with worker_pool(len(X), 2) as pool:
                list(map_rows(pool, np.add, X, X))
        assert counts(capfd.readouterr().err) == [(1, 2), (2, 2)]
        with worker_pool(len(X), 2) as pool:
            n_slices = len(list(map_rows(pool, np.add, X, X)))
    assert counts(capfd.readouterr().err)[-1] == (n_slices, n_slices)


def test_after_an_error_messages_appear_again(capsys):
    with joblib.parallel_config(verbose=11):
        with pytest.raises(ZeroDivisionError):
            list(report_progress((1 // n for n in (1, 0)), 2))
        capsys.readouterr()
        list(report_progress(range(2), 2))
    assert counts(capsys.readouterr().err) == [(1, 2), (2, 2)]


def test_long_calls_have_messages(rng, capsys):
    image = rng.random((160, 160))
    X = rng.normal(size=(50, 8))
    coder = OrthogonalSparseCoder(4).fit(X)
    layers = [(rng.normal(size=(200, 8)), None), (rng.normal(size=(1, 200)), None)]
    calls = [
        lambda: denoise_image(image, 0.1, n_classes=2, max_patches=1000),
        lambda: map_blocks(coder, X, block_bytes=1000),
        lambda: interpret_network(layers, rng.normal(size=(30_000, 8))),
    ]
    for call in calls:
        expected = call()
        assert capsys.readouterr() == ("", "")
        with joblib.parallel_config(verbose=11):
            result = call()
        assert counts(capsys.readouterr().err)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(result, expected)
