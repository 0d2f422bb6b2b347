"""Weights on the disk: format, provenance, checkpoints, the network that ships."""
