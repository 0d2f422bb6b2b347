"""The command line of a benchmark that takes nothing but names: its docstring is its help."""

import sys


def given(doc: str, least: int = 1) -> list[str]:
    """What stands on the command line; the help instead, if asked for or if too little does.

    Parameters
    ----------
    doc : str
        Docstring of the benchmark.
    least : int
        Fewest arguments that it needs.
    """
    found = sys.argv[1:]
    asked = bool({"-h", "--help"} & set(found))
    if asked or len(found) < least:
        print(doc.strip())
        sys.exit(0 if asked else 2)
    return found
