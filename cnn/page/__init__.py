"""The page of one X-ray: what is drawn, what it means on a ward, templates and scripts."""
