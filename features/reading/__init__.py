"""From one file to a study and its pixels."""
