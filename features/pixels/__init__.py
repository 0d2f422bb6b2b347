"""Kernels on plain arrays: filters, regions, sampling."""
