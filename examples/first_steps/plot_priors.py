r"""
How does the code depend on the prior?
======================================

With orthonormal atoms every coefficient is computed on its own. It depends on the
sample only through the projection u on its atom, and it is the a that minimizes

.. math:: \tfrac12 (u - a)^2 + \text{penalty}(a).

The penalty is minus the logarithm of the prior density: unlikely values cost more. The
four priors give four functions of u: soft and hard thresholding, and their one-sided
versions. The one-sided soft threshold is a ReLU.
"""

# %%
# The codes are computed by coders with one feature, one atom and no learning. The
# projection of a sample is then the sample itself.

import matplotlib.pyplot as plt
import numpy as np

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

THRESHOLD = 1.0  # λ
u = np.linspace(-3, 3, 1201)


def code(Coder, prior, u):
    coder = Coder(prior=prior, alpha=THRESHOLD, center=False, init=[[1.0]], max_iter=0)
    u = np.reshape(u, (-1, 1))
    return coder.fit(u).transform(u)[:, 0]


def l1_penalty(a):
    return THRESHOLD * np.abs(a)


def l0_penalty(a):
    return THRESHOLD**2 / 2 * (a != 0)


columns = [
    ("laplace", "soft threshold", OrthogonalSparseCoder, l1_penalty),
    ("spike_slab", "hard threshold", OrthogonalSparseCoder, l0_penalty),
    ("exponential", "ReLU with bias −λ", NonNegativeSparseCoder, l1_penalty),
    ("spike_slab", "one-sided hard threshold", NonNegativeSparseCoder, l0_penalty),
]

# %%
# The upper row shows the objective for the projection u = 1.7, the sum of a parabola
# and the penalty. Its minimizer is the code. The lower row shows the code for every
# projection. In the gray region the code is exactly zero. The L1 penalty shrinks the
# coefficients that are not zero. The L0 penalty does not, but its code is
# discontinuous.

BLUE, ORANGE, GRAY = "#1f5fa8", "#e07b20", "0.92"
example = 1.7
a = np.linspace(-1, 3, 801)
figure, axes = plt.subplots(
    2, 4, figsize=(12, 6.4), sharex="row", sharey="row", layout="constrained"
)
for (prior, name, Coder, penalty), (above, below) in zip(columns, axes.T, strict=True):
    is_one_sided = Coder is NonNegativeSparseCoder
    # The L0 penalty is discontinuous at zero: its value there is drawn as a point.
    values = np.where((a == 0) | (is_one_sided & (a < 0)), np.nan, penalty(a))
    parabola = (example - a) ** 2 / 2
    minimizer = code(Coder, prior, example)
    above.set_title(f"{prior}\n{name}")
    above.plot(a, parabola, ":", color="0.5", label="½(u − a)²")
    above.plot(a, values, "--", color=ORANGE, label="penalty(a)")
    above.plot(a, parabola + values, color=BLUE, lw=2, label="objective")
    above.plot(0, 0, "o", color=ORANGE, ms=4)
    above.plot(0, example**2 / 2, "o", color=BLUE, ms=5)
    minimum = (example - minimizer) ** 2 / 2 + penalty(minimizer)
    above.plot(minimizer, minimum, "o", color="k", zorder=3)
    above.set(xlabel="a", xlim=(a[0], a[-1]), ylim=(-0.1, 3))
    if is_one_sided:
        above.axvspan(a[0], 0, color=GRAY, lw=0)
        above.text(-0.5, 0.7, "not\nallowed", color="0.4", ha="center")

    codes = code(Coder, prior, u)
    zeros = u[codes == 0]
    is_jump = np.append(np.abs(np.diff(codes)) > THRESHOLD / 2, False)
    below.axvspan(zeros[0], zeros[-1], color=GRAY, lw=0)
    below.plot(u, u, ":", color="0.5")
    below.plot(u, np.where(is_jump, np.nan, codes), color=BLUE, lw=2)
    below.plot(example, minimizer, "o", color="k", zorder=3)
    below.set(xlabel="projection u", xlim=(u[0], u[-1]))
    below.set_xticks([-2, -THRESHOLD, 0, THRESHOLD, 2], ["−2", "−λ", "0", "λ", "2"])

axes[0, 0].legend(loc="upper center", frameon=False)
axes[0, 0].set_ylabel("objective for u = 1.7")
axes[1, 0].set_ylabel("code")
plt.show()

# %%
# The code is the mode of the posterior distribution of the coefficient, which is known
# in closed form, as is the density of the projections. For an example, coefficients are
# sampled from each prior, and noise of standard deviation 0.5 is added. With
# ``alpha="auto"`` the coder estimates the parameters of the prior and the noise
# variance by maximum likelihood, from the noisy samples alone.

NOISE_STD, n_samples = 0.5, 20_000
rng = np.random.default_rng(0)
laplace = rng.laplace(size=n_samples)
spike_slab = 2 * rng.normal(size=n_samples) * (rng.random(n_samples) < 0.3)
coefficients = [laplace, spike_slab, np.abs(laplace), np.abs(spike_slab)]
noisy = [values + NOISE_STD * rng.normal(size=n_samples) for values in coefficients]
coders = [
    Coder(prior=prior, alpha="auto", center=False, tol=1e-6).fit(samples[:, None])
    for (prior, _, Coder, _), samples in zip(columns, noisy, strict=True)
]
[f"{np.sqrt(coder.noise_variance_):.2f}" for coder in coders]

# %%
# The upper row shows the samples and the estimated density. The lower row shows the
# mode and the mean of the posterior, and one standard deviation around the mean. The
# posterior mean is continuous and never exactly zero. For the exponential prior it is a
# smooth ReLU. For the spike-and-slab prior it changes from the spike to the slab where
# both are likely, and there the standard deviation is largest.

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
    std = coder.posterior_std(v)[:, 0]
    is_jump = np.append(np.abs(np.diff(mode)) > 0.2, False)
    below.fill_between(v[:, 0], mean - std, mean + std, color="#f6dcc4", lw=0)
    below.plot(v, v, ":", color="0.5")
    below.plot(v, np.where(is_jump, np.nan, mode), color=BLUE, lw=2, label="mode")
    below.plot(v, mean, color=ORANGE, lw=2, label="mean")
    below.set(xlabel="projection u", xlim=(-4, 4))

axes[0, 0].set_ylabel("density of u")
axes[1, 0].set_ylabel("code")
axes[1, 0].legend(loc="upper left", frameon=False)
plt.show()

# %%
# For a sample with many features, the projections on all atoms are one matrix product,
# and these functions are applied to each of them. With the exponential prior that is a
# layer of ReLU units whose biases are −λ. The user guide proves the formulas of
# :ref:`the codes <model>` and of :ref:`the densities <likelihood>`.
