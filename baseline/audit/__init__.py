"""What to know of a dataset before training: facts, checks, a page, a self-test."""
