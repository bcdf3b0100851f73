"""
Are sparse codes robust to corrupted images?
============================================

A threshold sets small coefficients to zero, and should therefore suppress small
perturbations. Bowren (2021) conjectures that sparse priors, and non-linearities
stronger than the ReLU, make networks more robust. Layers of sparse codes with and
without a prior are trained on clean digits, and tested on corrupted ones.
"""

# %%
# There are five corruptions, each with five severities.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from skscn import ConvSparseCoder, FlooredScaler, SparseCodingNetwork, SpatialPool

digits = load_digits()
images = (digits.images / 16).astype(np.float32)
rng = np.random.default_rng(0)


def noise(images, severity):
    return np.clip(images + 0.1 * severity * rng.normal(size=images.shape), 0, 1)


def salt_and_pepper(images, severity):
    uniform = rng.random(images.shape)
    corrupted = np.where(uniform < 0.04 * severity, 0, images)
    return np.where(uniform > 1 - 0.04 * severity, 1, corrupted)


def blur(images, severity):
    std = 0.2 * severity
    return gaussian_filter(images, (0, std, std), mode="nearest")


def occlusion(images, severity):
    corrupted, side = images.copy(), severity
    for image in corrupted:
        row, column = rng.integers(8 - side + 1, size=2)
        image[row : row + side, column : column + side] = 0
    return corrupted


def contrast(images, severity):
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + (1 - 0.17 * severity) * (images - mean)


corruptions = [noise, salt_and_pepper, blur, occlusion, contrast]

# %%
# A network consists of a layer of sparse codes, a pooling layer and a linear
# classifier. The networks differ in the prior, and in whether every patch is divided by
# its standard deviation. They are compared with a multilayer perceptron.


def sparse_coding_classifier(**options):
    layers = [
        ("conv", ConvSparseCoder(16, split_sign=False, random_state=0, **options)),
        ("pool", SpatialPool("average", window=2)),
    ]
    network = SparseCodingNetwork(layers, image_shape=(8, 8))
    classifier = LogisticRegression(C=0.1, max_iter=500)
    return make_pipeline(network, FlooredScaler(), classifier)


models = {
    "ReLU, sparse prior": sparse_coding_classifier(alpha=0.5),
    "ReLU, no prior": sparse_coding_classifier(alpha=0.0),
    "hard threshold": sparse_coding_classifier(alpha=0.5, prior="spike_slab"),
    "ReLU, sparse prior, contrast": sparse_coding_classifier(alpha=0.5, contrast=0.1),
    "multilayer perceptron": MLPClassifier((64,), max_iter=1000, random_state=0),
}
X_train, X_test, y_train, y_test = train_test_split(
    images, digits.target, test_size=0.3, random_state=0
)
corrupted_images = {
    corrupt.__name__: [X_test, *(corrupt(X_test, severity) for severity in range(1, 6))]
    for corrupt in corruptions
}
curves = {}
for name, model in models.items():
    model.fit(X_train.reshape(-1, 64), y_train)
    for corruption, severities in corrupted_images.items():
        curves[name, corruption] = [
            model.score(images.reshape(-1, 64).astype(np.float32), y_test)
            for images in severities
        ]

# %%
# A sparse prior makes the network more robust to local and random corruptions: noise,
# salt and pepper, and occlusion. It makes the network less robust to lower contrast,
# because the coefficients become smaller and the threshold does not. A hard threshold
# does not shrink the coefficients that it keeps, and loses less accuracy. Dividing
# patches by their standard deviation restores most of it. The conjecture therefore
# holds for some corruptions. The user guide has the same comparison on more data, with
# several seeds and with adversarial attacks.

figure, axes = plt.subplots(2, 5, figsize=(11, 4.6), layout="constrained")
for (corruption, severities), top, bottom in zip(
    corrupted_images.items(), *axes, strict=True
):
    top.imshow(severities[3][1], cmap="gray_r", vmin=0, vmax=1)
    top.set(title=corruption.replace("_", " "), xticks=[], yticks=[])
    for name in models:
        style = "--" if name == "multilayer perceptron" else "-"
        bottom.plot(curves[name, corruption], style, label=name)
    bottom.set(ylim=(0, 1), xlabel="severity")
axes[1, 0].set_ylabel("accuracy")
figure.legend(
    *axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5
)
plt.show()
