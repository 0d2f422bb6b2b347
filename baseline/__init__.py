"""From numbers to a classification and its explanation: evidence map, classifier, SHAP, report."""

from features.run.interrupts import install_for_commands

install_for_commands()
