"""The SHAP report and the page of one study."""
