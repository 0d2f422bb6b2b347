"""From numbers to a verdict: the classifier, its scores, its reasons and the gate."""
