"""One X-ray, one answer: probability, reasons, mask and quality by a trained run."""
