"""From pixels to a mask, and from a mask to the submission."""
