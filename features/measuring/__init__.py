"""What is measured of each image in one decoding, and kept until that of all is joined."""
