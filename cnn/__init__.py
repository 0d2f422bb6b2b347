"""From pixels to a mask, and from a mask to the submission."""

from features.run.interrupts import install_for_commands

install_for_commands()
