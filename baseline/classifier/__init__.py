"""Training of the classifier, search for its settings, ablation of the feature families."""
