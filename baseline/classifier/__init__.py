"""Training of the classifier, search for settings, weight of the families."""
