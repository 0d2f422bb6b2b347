"""From numbers to a classification and its explanation: evidence map, classifier, SHAP, report."""
