"""From a dataset folder to a table of images, labels, masks, patients and folds."""
