"""From bytes to numbers: X-rays in, lung fields and named features out."""
