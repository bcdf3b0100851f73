r"""
What does each prior do to a coefficient?
=========================================

With orthonormal atoms a coefficient is coded by itself. All that a sample says about it
is its projection u, and the code is the a that minimises

.. math:: \tfrac12 (u - a)^2 + \text{penalty}(a).

The penalty stands for the prior: the rarer a value is expected to be, the more it
costs. Four priors make four functions of u: two familiar thresholds, and two without a
negative side. One of them is a ReLU.
"""

# %%
# The codes come from the coders themselves. With one feature, one atom and no learning,
# a sample is its own projection.

import matplotlib.pyplot as plt
import numpy as np

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

THRESHOLD = 1.0  # λ
u = np.linspace(-3, 3, 1201)


def code(coder, prior, u):
    one_atom = coder(prior=prior, alpha=THRESHOLD, init=[[1.0]], max_iter=0)
    u = np.reshape(u, (-1, 1))
    return one_atom.set_params(center=False).fit(u).transform(u)[:, 0]


def shrinking(a):
    return THRESHOLD * np.abs(a)


def counting(a):
    return THRESHOLD**2 / 2 * (a != 0)


columns = [
    ("laplace", "soft threshold", OrthogonalSparseCoder, shrinking),
    ("spike_slab", "hard threshold", OrthogonalSparseCoder, counting),
    ("exponential", "ReLU with bias −λ", NonNegativeSparseCoder, shrinking),
    ("spike_slab", "one-sided hard threshold", NonNegativeSparseCoder, counting),
]

# %%
# Above, the objective of one projection, u = 1.7: a parabola plus the penalty. Its
# lowest point is the code. Below, that lowest point for every projection; grey marks
# the projections whose code is exactly zero. A convex penalty shrinks whatever it
# keeps. The spike and slab keeps large projections as they are, and pays with a jump.

BLUE, ORANGE, GREY = "#1f5fa8", "#e07b20", "0.92"
example = 1.7
a = np.linspace(-1, 3, 801)
figure, axes = plt.subplots(
    2, 4, figsize=(12, 6.4), sharex="row", sharey="row", layout="constrained"
)
for (prior, name, coder, penalty), (above, below) in zip(columns, axes.T, strict=True):
    one_sided = coder is NonNegativeSparseCoder
    price = np.where((a == 0) | (one_sided & (a < 0)), np.nan, penalty(a))
    parabola = (example - a) ** 2 / 2
    best = code(coder, prior, example)
    above.set_title(f"{prior}\n{name}")
    above.plot(a, parabola, ":", color="0.5", label="½(u − a)²")
    above.plot(a, price, "--", color=ORANGE, label="penalty(a)")
    above.plot(a, parabola + price, color=BLUE, lw=2, label="their sum")
    above.plot(0, 0, "o", color=ORANGE, ms=4)
    above.plot(0, example**2 / 2, "o", color=BLUE, ms=5)
    lowest = (example - best) ** 2 / 2 + penalty(best)
    above.plot(best, lowest, "o", color="k", zorder=3)
    above.set(xlabel="a", xlim=(a[0], a[-1]), ylim=(-0.1, 3))
    if one_sided:
        above.axvspan(a[0], 0, color=GREY, lw=0)
        above.text(-0.5, 0.7, "not\nallowed", color="0.4", ha="center")

    codes = code(coder, prior, u)
    zero = u[codes == 0]
    jumps = np.append(np.abs(np.diff(codes)) > THRESHOLD / 2, False)
    below.axvspan(zero[0], zero[-1], color=GREY, lw=0)
    below.plot(u, u, ":", color="0.5")
    below.plot(u, np.where(jumps, np.nan, codes), color=BLUE, lw=2)
    below.plot(example, best, "o", color="k", zorder=3)
    below.set(xlabel="projection u", xlim=(u[0], u[-1]))
    below.set_xticks([-2, -THRESHOLD, 0, THRESHOLD, 2], ["−2", "−λ", "0", "λ", "2"])

axes[0, 0].legend(loc="upper center", frameon=False)
axes[0, 0].set_ylabel("objective for u = 1.7")
axes[1, 0].set_ylabel("code")
plt.show()

# %%
# These pictures leave out how sure a code is. A prior is a distribution, and what it
# says of a projection is another one, known in closed form. Here are samples of one
# coefficient from each prior, with noise of standard deviation ½. ``alpha="auto"``
# finds the prior and the noise that make them most likely, from their shape alone.

NOISE, n_samples = 0.5, 20_000
rng = np.random.default_rng(0)
peaked = rng.laplace(size=n_samples)
rare = 2 * rng.normal(size=n_samples) * (rng.random(n_samples) < 0.3)
drawn = [peaked, rare, np.abs(peaked), np.abs(rare)]
noisy = [codes + NOISE * rng.normal(size=n_samples) for codes in drawn]
coders = [
    coder(prior=prior, alpha="auto", center=False, tol=1e-6).fit(samples[:, None])
    for (prior, _, coder, _), samples in zip(columns, noisy, strict=True)
]
[f"{np.sqrt(coder.noise_variance_):.2f}" for coder in coders]

# %%
# Above, the samples and the density that was learned. Below, the most probable code and
# the mean code, with one standard deviation of the posterior to either side. The mean
# never jumps and is never zero. That of the exponential prior is a smooth ReLU; that of
# the spike and slab turns from one choice to the other where both are likely, and there
# its spread is widest.

v = np.linspace(-4, 4, 801)[:, None]
figure, axes = plt.subplots(
    2, 4, figsize=(12, 6.4), sharex=True, sharey="row", layout="constrained"
)
for column, samples, coder, (above, below) in zip(
    columns, noisy, coders, axes.T, strict=True
):
    above.set_title(column[0] + ("" if column[2] is OrthogonalSparseCoder else ", ≥ 0"))
    above.hist(samples, np.linspace(-4, 4, 81), density=True, color="0.85")
    above.plot(v, np.exp(coder.score_samples(v)), color=ORANGE, lw=2)
    mode = coder.set_params(inference="map").transform(v)[:, 0]
    mean = coder.set_params(inference="mean").transform(v)[:, 0]
    spread = coder.posterior_std(v)[:, 0]
    jumps = np.append(np.abs(np.diff(mode)) > 0.2, False)
    below.fill_between(v[:, 0], mean - spread, mean + spread, color="#f6dcc4", lw=0)
    below.plot(v, v, ":", color="0.5")
    below.plot(
        v, np.where(jumps, np.nan, mode), color=BLUE, lw=2, label="most probable"
    )
    below.plot(v, mean, color=ORANGE, lw=2, label="mean")
    below.set(xlabel="projection u", xlim=(-4, 4))

axes[0, 0].set_ylabel("density of u")
axes[1, 0].set_ylabel("code")
axes[1, 0].legend(loc="upper left", frameon=False)
plt.show()

# %%
# This is the whole of inference. In the third column of the first picture a layer of
# ReLU units does it in one matrix product, and minus the bias of a unit tells how rare
# its atom is expected to be. The user guide has the proofs: :ref:`of the codes
# <model>`, and :ref:`of the densities <likelihood>`.
