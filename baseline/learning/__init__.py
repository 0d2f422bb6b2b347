"""What every model shares: estimator, training rows, calibration, scores."""
