"""The patch iterator returns the patches of images as mini-batches of rows."""

import numpy as np
import pytest
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.feature_extraction.image import extract_patches_2d

from skscn import OrthogonalSparseCoder, denoise_image, iter_patches


def make_images(rng, dtype=np.float64):
    shapes = [(12, 9), (6, 20), (5, 5), (30, 7)]
    return [rng.integers(0, 256, size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("batch_size", [1, 7, 64, 10_000])
def test_mini_batches_hold_every_patch_once_in_order(batch_size, rng):
    images = make_images(rng)
    batches = list(iter_patches(iter(images), (5, 4), batch_size=batch_size))
    expected = np.concatenate([extract_patches_2d(x, (5, 4)) for x in images])
    np.testing.assert_array_equal(np.concatenate(batches), expected.reshape(-1, 20))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    assert len(batches[-1]) <= batch_size


def test_patches_are_taken_at_every_stride(rng):
    image = rng.normal(size=(11, 13, 3))
    (rows,) = iter_patches([image], 4, stride=(2, 3))
    corners = image[::2, ::3][:4, :4].reshape(-1, 3)
    np.testing.assert_array_equal(rows[:, :3], corners)


def test_a_sample_has_max_patches_patches_of_each_image(rng):
    images = make_images(rng)
    kwargs = {"max_patches": 10, "random_state": 0}
    rows = np.concatenate(list(iter_patches(images, 5, **kwargs)))
    assert len(rows) == 10 + 10 + 1 + 10
    patches = np.concatenate(list(iter_patches(images, 5)))
    expected = {row.tobytes() for row in patches}
    assert {row.tobytes() for row in rows} <= expected
    again = np.concatenate(list(iter_patches(images, 5, **kwargs)))
    np.testing.assert_array_equal(rows, again)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_rows_have_the_requested_dtype(dtype, rng):
    images = make_images(rng, dtype)
    (rows,) = iter_patches(images, 5)
    assert rows.dtype == dtype
    (rows,) = iter_patches(images, 5, center=True)
    assert rows.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-4)
    (rows,) = iter_patches(images, 5, dtype=np.float64)
    assert rows.dtype == np.float64


@pytest.mark.parametrize("dtype", ["u4", "i4", "i8", "f8"])
def test_patches_are_centered_before_they_are_rounded(dtype):
    image = (2**30 + np.arange(16).reshape(4, 4)).astype(dtype)
    (rows,) = iter_patches([image], 2, center=True, dtype="f4")
    np.testing.assert_array_equal(rows, np.tile([-2.5, -1.5, 1.5, 2.5], (9, 1)))


def test_half_precision_may_overflow_in_sums_but_not_in_patches():
    image = np.array([[65_504, 65_504], [65_504, 65_472]], dtype="f2")
    (rows,) = iter_patches([image], 2, center=True)
    np.testing.assert_array_equal(rows[0], [8, 8, 8, -24])
    with pytest.raises(ValueError, match="float16 cannot hold"):
        list(iter_patches([image * [[1, 1], [1, -1]]], 2, center=True, dtype="f2"))


def test_masked_pixels_are_missing():
    image = np.ma.masked_equal(np.arange(9).reshape(3, 3), 4)
    (rows,) = iter_patches([image], 3)
    np.testing.assert_array_equal(rows[0], [0, 1, 2, 3, np.nan, 5, 6, 7, 8])


def test_a_memory_map_is_read_image_by_image(tmp_path, rng):
    images = rng.normal(size=(6, 10, 10)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    read = np.concatenate(list(iter_patches(mapped, 4, batch_size=50)))
    np.testing.assert_array_equal(
        read, np.concatenate(list(iter_patches(images, 4, batch_size=50)))
    )


def test_no_more_images_are_read_than_a_mini_batch_needs(rng):
    read = []

    def stream():
        for i in range(100):
            read.append(i)
            yield rng.normal(size=(10, 10))

    next(iter_patches(stream(), 4, batch_size=60))
    assert len(read) == 2


def test_a_dictionary_learned_from_mini_batches_denoises(rng):
    y, x = np.mgrid[:60, :60]
    images = [
        100 * np.sin(x * np.cos(angle) + y * np.sin(angle))
        for angle in rng.uniform(0, np.pi, size=5)
    ]
    coder = OrthogonalSparseCoder(35, prior="spike_slab", alpha=20.0)
    for rows in iter_patches(images, 6, center=True, batch_size=2048):
        coder.partial_fit(rows)
    given = images[0] + rng.normal(0, 30, size=(60, 60))
    found = denoise_image(given, 30, coder, patch_size=6, n_refinements=0)
    assert np.std(found - images[0]) < 10


def test_mini_batches_fit_the_online_estimators_of_scikit_learn(rng):
    online = MiniBatchDictionaryLearning(4, random_state=0)
    for rows in iter_patches([rng.normal(size=(12, 12))], 3, batch_size=60):
        online.partial_fit(rows)
    assert online.components_.shape == (4, 9)


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        ([np.ones((4, 9))], {}, "do not fit"),
        ([np.ones((9, 9)), np.ones((9, 9, 3))], {}, "3 channels"),
        ([np.ones(9)], {}, "1 dimensions"),
        ([], {"stride": 0}, "at least 1"),
        ([], {"stride": (1, 2, 3)}, "all axes or 2 integers"),
        ([], {"max_patches": 0}, "at least 1"),
        ([], {"batch_size": 1.5}, "integer"),
        ([], {"center": True, "dtype": "u1"}, "dtype=uint8 does not hold"),
        ([np.full((9, 9), 300.0)], {"dtype": "u1"}, "dtype=uint8 does not hold"),
        ([np.full((9, 9), 300)], {"dtype": "u1"}, "dtype=uint8 does not hold"),
        ([np.ones((9, 9, 3))[0]], {}, "given as"),
        ([np.full((9, 9), 1j)], {}, "dtype complex128, but pixels are real"),
        ([np.ones((9, 9), dtype=object)], {}, "dtype object, but pixels are real"),
        ([np.full((9, 9), 1e5)], {"dtype": "f2"}, "Patches of image 0.*float16"),
        ([np.full((9, 9), 65_530, "u2")], {"dtype": "f2"}, "float16 cannot hold"),
        (
            [np.ma.masked_equal(np.ones((9, 9)), 0), 1e5 * np.ones((9, 9))],
            {"dtype": "f2"},
            "Patches of image 1",
        ),
    ],
)
def test_wrong_input_raises(images, options, words):
    with pytest.raises(ValueError, match=words):
        list(iter_patches(images, 5, **options))


def test_centered_patches_that_overflow_are_an_error_with_their_size():
    image = np.full((4, 4), 3e38, dtype=np.float32)
    with pytest.raises(ValueError, match=r"image 0 leave the range of .* 3e\+38"):
        list(iter_patches([image], 2, center=True))


def test_an_image_without_channels_is_an_error():
    with pytest.raises(ValueError, match=r"Image 0 of shape \(4, 4, 0\) has no"):
        list(iter_patches(np.zeros((2, 4, 4, 0)), 2))
