"""Training programs in processes of their own, that a test starts, waits for and kills."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process that finds the project and the tests."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])} | changes


def start(program: str, *arguments: Path | str) -> subprocess.Popen:
    """Start a Python program."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def kill(child: subprocess.Popen) -> None:
    """End a process at once, as a power cut would."""
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=10)  # which closes its pipe too


def wait_for(path: Path, *children: subprocess.Popen) -> None:
    """Wait until a file is there, while none of some processes may end."""
    while not path.exists():
        for child in children:
            assert child.poll() is None, f"ended before {path} was there: {child.communicate()[0]}"
        time.sleep(0.002)


def free_address() -> str:
    """Host and port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
