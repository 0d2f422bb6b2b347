"""Handcrafted feature families; each measure has a name and a sentence that explains it."""
