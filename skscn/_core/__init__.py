"""Orthonormal sparse coding on arrays: plain functions and frozen records."""
