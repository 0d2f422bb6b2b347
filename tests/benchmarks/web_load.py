"""The page's service under load: throughput, times, errors, memory, and what hostile uploads do.

    python -m tests.benchmarks.web_load [--run RUN] --images x.dcm y.dcm ...

Starts the service; some clients upload one X-ray after another for a while, each by a connection of
its own. Every answer must be the one that the model gives by itself. Then damaged files come, which
must all be answered, or refused in one sentence. Memory is that of the service's process.
"""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import tyro

from cnn.study.answer import to_json
from cnn.study.predictor import Predictor
from tests.benchmarks.damage_inputs import bases, damaged

BOUNDARY = "a-boundary-that-is-in-no-file"


@dataclass(frozen=True)
class Settings:
    """Upload much, and much that is damaged."""

    images: tuple[Path, ...]
    """X-rays to upload, in turn."""
    run: Path | None = None
    """Run folder that has come as far as its gate; without it the model that ships."""
    clients: int = 8
    """Clients at once."""
    seconds: float = 60.0
    """For how long."""
    uploads: int = 0
    """Upload so many instead, however long that takes."""
    hostile: int = 1000
    """Damaged files afterwards."""


@dataclass
class Tally:
    """What the clients saw; the lock is theirs."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def form(name: str, content: bytes) -> bytes:
    """A form with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def send(connection: http.client.HTTPConnection, name: str, content: bytes) -> tuple[int, str]:
    """Status and body of the answer to an upload."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request("POST", "/studies", form(name, content), headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def plain(text: str) -> str:
    """An answer without what differs from time to time."""
    return re.sub(r'"milliseconds":[0-9.]+', "", text)


def resident(number: int) -> float:
    """MiB that a process holds in memory."""
    text = Path(f"/proc/{number}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


def client(
    address: str, settings: Settings, expected: dict[str, str], tally: Tally, until: float
) -> None:
    """Upload one X-ray after another."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
    contents = [(path.name, path.read_bytes()) for path in settings.images]
    number = 0
    while time.monotonic() < until:
        name, content = contents[number % len(contents)]
        number += 1
        start = time.monotonic()
        try:
            status, body = send(connection, name, content)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            with tally.lock:
                tally.faults.append(type(error).__name__)
            continue
        with tally.lock:
            if settings.uploads and len(tally.seconds) >= settings.uploads:
                return
            tally.statuses[status] += 1
            if status == 201:
                tally.seconds.append(time.monotonic() - start)
                if plain(body) != expected[name]:
                    tally.faults.append(f"another answer on {name}")


def hostile(address: str, count: int) -> tuple[Counter[int], list[str]]:
    """Statuses of damaged uploads, and the answers that are no answer and no sentence."""
    statuses, faults = Counter[int](), []
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
    with tempfile.TemporaryDirectory() as folder:
        whole = bases(Path(folder))
    for number in range(count):
        kind = ("dicom", "png")[number % 2]
        rng = np.random.default_rng((7, number))
        content = damaged(kind, whole[kind][int(rng.integers(len(whole[kind])))], rng)
        try:
            status, body = send(connection, f"{number}.{kind}", content)
            statuses[status] += 1
            said = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            faults.append(f"{number}: {type(error).__name__}")
            connection.close()
            continue
        if status != 201 and (status >= 500 or not said["error"].isprintable()):
            faults.append(f"{number}: {status} {body[:150]}")
    return statuses, faults


def main(settings: Settings) -> int:
    """Print what was measured; the number of faults."""
    predictor = Predictor.load(settings.run)
    expected = {
        path.name: plain(to_json(replace(predictor(path), file=path.name)))
        for path in settings.images
    }
    del predictor
    command = [sys.executable, "-m", "cnn.web.cli", "serve", "--port", "0"]
    command += [] if settings.run is None else ["--run", str(settings.run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().partition(" ")[0].rstrip("/")
        try:
            connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
            for path in settings.images:  # the first answers compile
                send(connection, path.name, path.read_bytes())
            faults = measure(settings, address, expected, process.pid)
        finally:
            process.terminate()
    print(f"{faults} faults")
    return faults


def measure(settings: Settings, address: str, expected: dict[str, str], number: int) -> int:
    """Load the service, then send what is damaged; the number of faults."""
    tally, before = Tally(), resident(number)
    start = time.monotonic()
    until = start + (1e6 if settings.uploads else settings.seconds)
    threads = [
        threading.Thread(target=client, args=(address, settings, expected, tally, until))
        for _ in range(settings.clients)
    ]
    for thread in threads:
        thread.start()
    halfway = 0.0
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        share = (time.monotonic() - start) / settings.seconds
        if settings.uploads:
            share = len(tally.seconds) / settings.uploads
        if not halfway and share >= 0.5:
            halfway = resident(number)
    took, answered = time.monotonic() - start, np.array(tally.seconds)
    p50, p95 = np.percentile(answered, (50, 95))
    print(f"{settings.clients} clients, {took:.0f} s: {len(answered)} answers")
    print(f"throughput {len(answered) / took:.2f}/s, p50 {p50:.2f} s, p95 {p95:.2f} s")
    print(f"statuses {dict(tally.statuses)}, faults {tally.faults[:5]}")
    print(f"memory {before:.0f}, {halfway:.0f}, {resident(number):.0f} MiB: before, halfway, after")
    statuses, odd = hostile(address, settings.hostile)
    print(f"{settings.hostile} damaged uploads: {dict(statuses)}, faults {odd[:5]}")
    print(f"memory {resident(number):.0f} MiB")
    errors = sum(n for status, n in tally.statuses.items() if status not in (201, 503))
    return len(tally.faults) + len(odd) + errors


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.exit(min(main(tyro.cli(Settings)), 1))
