"""From bytes to numbers: X-rays (or phantoms) in; lung fields, named features and cells out."""

from features.run.interrupts import install_for_commands

install_for_commands()

from features.run.surroundings import mend_for_commands  # noqa: E402 (signals first)

mend_for_commands()
