"""Trained ReLU networks, interpreted and repaired as sparse coding models.

A trained network comes in: a perceptron of scikit-learn, a Sequential of torch, weight
arrays, or layers of this package with a linear model. `model_readers` turns it into a
`Network`, a sequence of operations on arrays that may branch. Each hidden layer goes
out as a `LayerReport`: its weights as atoms and priors, and how well its codes describe
the data. The `NetworkReport` around them runs the network with other inference methods,
computes likelihoods, and makes repaired copies of the model. Open `interpret` first: it
holds the two public functions.
"""
