"""Probability maps, drawn and stored."""
