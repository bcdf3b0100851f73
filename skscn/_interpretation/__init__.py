"""Trained ReLU networks read, and repaired, as sparse coding models."""
