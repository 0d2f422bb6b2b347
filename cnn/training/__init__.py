"""Training of the U-Net, fold by fold."""
