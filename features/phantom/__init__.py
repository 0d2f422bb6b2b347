"""Phantom chest X-rays with known pneumothorax."""
