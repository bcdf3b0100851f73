"""Data that are not at hand: on disk, on a cluster, on a device."""
