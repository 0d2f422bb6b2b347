"""SHAP values, where in the lungs they lie, and the sentences made from them."""
