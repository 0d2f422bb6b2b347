"""Files and folders, on the disk or in a zip: what they are called, and what kind they are."""
