"""What the audit measures of each file, picture and mask."""
