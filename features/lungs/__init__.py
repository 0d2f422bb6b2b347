"""Lung fields, their zones, and the image in lung units."""
