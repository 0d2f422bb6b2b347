"""Phantom chest X-rays: drawn from a seed, with and without pneumothorax, the exact mask known."""
