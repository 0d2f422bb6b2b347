"""Measures of small squares of the lungs, from which the evidence map is learned."""
