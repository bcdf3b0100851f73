"""Pictures of what was fitted, in scikit-learn's style."""
