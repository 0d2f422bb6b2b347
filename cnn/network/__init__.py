"""The U-Net, its profiles, losses and augmentation."""
