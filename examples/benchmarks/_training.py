"""Training of torch modules, for benchmarks that compare with backpropagation."""

import numpy as np
from _measure import import_optional

torch = import_optional("torch")


def train(module, X, y, *, n_epochs, rate, batch_size, seed, after_step=None):
    """Train a module in place by Adam with cross-entropy; yield after every epoch.

    Parameters
    ----------
    after_step : callable, default=None
        Called without arguments after every step of the optimizer.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    X, y = torch.from_numpy(X), torch.from_numpy(np.asarray(y, dtype=np.int64))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n_epochs):
        module.train()
        for rows in torch.randperm(len(X), generator=generator).split(batch_size):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(X[rows]), y[rows]).backward()
            optimizer.step()
            if after_step is not None:
                after_step()
        yield


def predict(module, X):
    """Return the class with the largest score for every row, in evaluation mode."""
    module.eval()
    with torch.no_grad():
        parts = torch.from_numpy(X).split(500)
        return torch.cat([module(part).argmax(dim=1) for part in parts]).numpy()
