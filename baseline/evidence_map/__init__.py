"""Where air lies, learned from cells and from lungs."""
