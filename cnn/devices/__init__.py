"""The devices that a training shares, and what was compiled for them."""
