"""From a dataset folder to studies, pixels, labels, patients and folds."""
