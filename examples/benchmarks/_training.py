"""Training of torch modules, for benchmarks that compare with backpropagation."""

import numpy as np
from _measure import import_optional

torch = import_optional("torch")


def train(
    module,
    X,
    y,
    *,
    n_epochs,
    rate,
    batch_size,
    seed,
    classifier_rate=None,
    after_step=None,
    augment=None,
    one_cycle=False,
    label_smoothing=0.0,
):
    """Train a Sequential in place by Adam with cross-entropy; yield after every epoch.

    Parameters
    ----------
    classifier_rate : float, default=None
        Learning rate of the last module; None is `rate`.
    after_step : callable, default=None
        Called without arguments after every step of the optimizer.
    augment : callable, default=None
        Returns the images to learn from for a mini-batch of images and a generator.
    one_cycle : bool, default=False
        Whether the learning rate rises to `rate` and falls again; else it is constant.
    label_smoothing : float, default=0.0
        Fraction of the probability that targets give to all classes alike.
    """
    *layers, classifier = module
    rates = [rate, rate if classifier_rate is None else classifier_rate]
    weights = torch.nn.ModuleList(layers).parameters(), classifier.parameters()
    optimizer = torch.optim.Adam(
        [{"params": p, "lr": lr} for p, lr in zip(weights, rates, strict=True)]
    )
    schedule = None
    if one_cycle:
        n_steps = n_epochs * -(-len(X) // batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rates, total_steps=n_steps, pct_start=0.2
        )
    X, y = torch.from_numpy(X), torch.from_numpy(np.asarray(y, dtype=np.int64))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n_epochs):
        module.train()
        for rows in torch.randperm(len(X), generator=generator).split(batch_size):
            batch = X[rows] if augment is None else augment(X[rows], generator)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(
                module(batch), y[rows], label_smoothing=label_smoothing
            ).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if after_step is not None:
                after_step()
        yield


def predict(module, X):
    """Return the class with the largest score for every row, in evaluation mode."""
    module.eval()
    with torch.no_grad():
        parts = torch.from_numpy(X).split(500)
        return torch.cat([module(part).argmax(dim=1) for part in parts]).numpy()
