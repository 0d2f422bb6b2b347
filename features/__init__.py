"""From bytes to numbers: X-rays (or phantoms) in; lung fields, named features and cells out."""
