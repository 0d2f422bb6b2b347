"""The submission file: written, and checked."""
