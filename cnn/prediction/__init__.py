"""Probability maps, computed and stored."""
