"""X-rays as the network sees them: small squares, kept in the run folder."""
