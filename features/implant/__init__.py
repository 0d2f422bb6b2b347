"""Pneumothorax put into real X-rays without one, with the exact mask."""
