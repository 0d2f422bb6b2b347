"""Handcrafted feature families, each measure with a name and a sentence."""
