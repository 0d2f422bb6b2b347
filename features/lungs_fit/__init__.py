"""Fitting of the lung-field model; never imported at run time."""
