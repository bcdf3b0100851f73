"""Anomalies by likelihood, and their reasons."""
