"""From X-rays to batches on the device."""
