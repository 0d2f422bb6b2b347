"""When a mask is kept: the rules and how one is chosen."""
