"""The page: one X-ray in a browser or over HTTP, answered by a trained run on this machine."""
