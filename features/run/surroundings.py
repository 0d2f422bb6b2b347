"""Surroundings that a command cannot work in, mended before its libraries are imported.

Python takes the names of files for ASCII or Latin-1 if the locale says so and UTF-8 is switched off
(``LC_ALL=C PYTHONUTF8=0``), though they are UTF-8 and a run folder's tables are. And for a
user without a home that can be written, numba cannot compile and matplotlib complains.
"""

# pathlib takes longer to import than all of this.
# ruff: noqa: PTH110, PTH111, PTH112, PTH120
import atexit
import os
import sys

from features.run import interrupts

MACHINE_CODE, MATPLOTLIB = "NUMBA_CACHE_DIR", "MPLCONFIGDIR"


def mend_for_commands() -> None:
    """Do so if this process is a command, see `interrupts.is_command`."""
    if interrupts.is_command():
        _use_utf8()
        _find_room()


def _use_utf8() -> None:
    """Begin anew in Python's UTF-8 mode; what is printed stays in the terminal's encoding."""
    if sys.getfilesystemencoding() == "utf-8":
        return
    if sys.flags.ignore_environment or "utf8" in sys._xoptions:  # it would not help
        return
    printed = f"{sys.stdout.encoding}:backslashreplace" if sys.stdout else "utf-8"
    kept = {"PYTHONIOENCODING": printed} | os.environ
    os.execve(sys.executable, sys.orig_argv, kept | {"PYTHONUTF8": "1"})


def _find_room() -> None:
    """Let libraries write into a folder of this command's own where they have no other."""
    beside = f"{os.path.dirname(os.path.dirname(__file__))}/__pycache__"
    home = os.path.expanduser("~")
    mac = sys.platform == "darwin"
    caches = os.environ.get("XDG_CACHE_HOME") or f"{home}/{'Library/Caches' if mac else '.cache'}"
    settings = os.environ.get("XDG_CONFIG_HOME") or f"{home}/{'.matplotlib' if mac else '.config'}"
    has_room = {
        MACHINE_CODE: _may_write(beside) or _may_write(caches),
        MATPLOTLIB: _may_write(settings),
    }
    lacking = [name for name, has in has_room.items() if not has and name not in os.environ]
    if not lacking:
        return
    # Both take long to import.
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="pneumothorax-")
    interrupts.temporaries.add(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(dict.fromkeys(lacking, folder))  # workers share it


def _may_write(folder: str) -> bool:
    """Whether a folder can be written, or made where it is to be."""
    while not os.path.exists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK)
