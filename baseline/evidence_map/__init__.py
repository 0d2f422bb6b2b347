"""The evidence map: for each cell of the lungs, the probability that air lies in it."""
