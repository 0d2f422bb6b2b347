"""Processes by number: which are still there, and where such a number means something."""

import hashlib
import os
import re
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4


@cache
def here() -> str:
    """Eight characters for the host and its namespace of processes (containers have their own)."""
    namespace = ""
    with suppress(OSError):  # only Linux has any
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def started(number: int) -> str:
    """When the process of this number began, in the system's clock ticks; "" if there is none.

    So a number that was given away again is told from the process that had it before. Where the
    system does not say, "there" is all that is known.
    """
    try:
        os.kill(number, 0)
    except PermissionError:
        pass  # another user's
    except (OSError, OverflowError):
        return ""
    with suppress(OSError):
        # The name of the program, in brackets, may hold spaces.
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    return "there"


def mark() -> str:
    """A mark for a name of this process's own, by which `is_of_the_dead` knows it again."""
    return f"{here()}-{os.getpid()}-{uuid4().hex[:8]}"


def is_of_the_dead(name: str) -> bool | None:
    """Whether the process whose mark a name bears has ended; None if that cannot be known."""
    found = re.search(r"-([0-9a-f]{8})-([0-9]+)-[0-9a-f]{8}(\.|$)", name)
    if not found or found[1] != here():
        return None
    return not started(int(found[2]))
