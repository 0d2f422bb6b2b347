"""The command line of a benchmark that takes nothing but names: its docstring is its help."""

import sys


def arguments_or_help(doc: str, least: int = 1) -> list[str]:
    """The words of the command line; the help instead, if asked for or if there are too few.

    Parameters
    ----------
    doc : str
        Docstring of the benchmark.
    least : int
        Fewest arguments that it needs.
    """
    arguments = sys.argv[1:]
    wants_help = bool({"-h", "--help"} & set(arguments))
    if wants_help or len(arguments) < least:
        print(doc.strip())
        sys.exit(0 if wants_help else 2)
    return arguments
