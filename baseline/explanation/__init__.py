"""SHAP values, their place in the lung, and sentences."""
