"""Damage every file of a small finished run and call what reads it: ``fuzz_run.py RUN``.

    python -m tests.benchmarks.fuzz_run RUN --cases 6

Each file is cut short, emptied, has bytes changed, is written in another encoding or replaced by
its like; JSON gets values of wrong types, huge numbers, missing and unknown keys; tables get wrong
columns, types, missing, infinite and huge numbers, rows twice, unknown ids. Then a stage that reads
the file works on a copy of the run in a process of its own. It may succeed, or refuse in one
sentence of at most 400 signs. A traceback, a death in native code and more than 20 seconds
(or three times what the stage takes on the whole run) are faults. The same seed makes the same
cases.
"""

import importlib
import io
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from tests.benchmarks.damage_run import damage

PATIENCE = 20.0  # seconds
LONGEST = 400
IGNORED = (".jax_cache", ".lock", ".written.json", "settings.mk", ".png", "checkpoint")
# Stages with the options that make them fast, and patterns of the files that each reads.
READERS: dict[str, tuple[list[str], str]] = {
    "features.measure": (["--only-cells", "--jobs", "1"], r"format|dataset"),
    "baseline.classifier.train": (
        ["--rounds", "6"],
        r"format|dataset|features\.|evidence/zones|truth",
    ),
    "baseline.explanation.shap_values": (
        [],
        r"baseline/(fold|oof|digests)|zones",
    ),
    "baseline.report.write": (
        ["--cases", "1", "--jobs", "1"],
        r"format|dataset|truth|features\.|baseline/|evidence/|gate_figures|outlines",
    ),
    "cnn.prediction.predict": ([], r"weights|evidence/(map|pairs)|dataset|maps/|format"),
    "cnn.gate.evaluate": (
        [],
        r"maps/|dataset|baseline/(oof|test|calib|metrics|shap)|evidence/map|truth|format",
    ),
    "cnn.submission.write": (
        [],
        r"gate\.json|maps/|dataset|sample|quarantine|test\.csv|evidence/map|format",
    ),
    "cnn.gate.summary": ([], r"^metrics\.json|gate\.json|format"),
    "cnn.training.train": (
        ["--profile", "demo", "--epochs", "2", "--only", "0"],
        r"cnn/images|cnn/masks|evidence/(map|pairs)|dataset|format|weights",
    ),
    "tests.benchmarks.fuzz_run:evidence": ([], r"cells/|features\.|evidence/|dataset"),
    "tests.benchmarks.fuzz_run:one_study": (
        [],
        r"evidence/(lungs|cells|digests)|baseline/(fold|digests|oof|calib)|features\.|zones",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Damage every file of a run and call what reads it."""

    run: tyro.conf.Positional[Path]
    """A small finished run."""
    cases: int = 8
    """Cases a file and reader."""
    seed: int = 0
    """Seed of the damage."""
    only: str = ""
    """Only files whose name contains this."""


@dataclass(frozen=True)
class RunOnly:
    """Settings of a reader that is no stage."""

    run: Path


def items(settings: RunOnly) -> None:
    """Read the dataset as the measuring does."""
    from features.measure import items_of
    from features.reading import rle
    from features.run.files import stamps
    from features.run.folder import RunFolder, measured

    rows = measured(RunFolder(settings.run).check().dataset.read())
    stamps(rows["path"])
    for item in items_of(rows):
        if item.mask is not None:
            rle.decode(item.mask, item.size)


def evidence(settings: RunOnly) -> None:
    """Read what the evidence map is learned from, and the map."""
    from baseline.evidence_map import maps, models, results
    from baseline.evidence_map.training_data import read_training_data
    from features.run.folder import RunFolder

    run = RunFolder(settings.run).check()
    data = read_training_data(run)
    read = maps.read(run), maps.read_for_fold(run, 0), maps.read_for_fold(run, 0, pairs=True)
    assert all(np.isfinite(m.probability).all() for part in read for m in part.values())
    results.read_settings(run)
    models.predict_many(models.load(run, 0), data, np.arange(2))


def one_study(settings: RunOnly) -> None:
    """Explain one file of the run."""
    from baseline.explanation import one_study as module
    from baseline.explanation import trained_run
    from features.run.folder import RunFolder

    trained = trained_run.read(RunFolder(settings.run).check())
    module.explain(Path(trained.dataset["path"].iloc[0]), trained)


# --- readers -------------------------------------------------------------------------------------
def call(reader: str, run: Path, options: list[str], patience: float = PATIENCE) -> tuple[str, str]:
    """Call a reader in a process of its own: "accepted", "refused" or "fault", and the words."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _child(reader, run, options, output.fileno())
        status, begin = 0, time.monotonic()
        while time.monotonic() - begin < patience:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.01)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "fault", f"more than {patience:.0f} s"
        output.seek(0)
        printed = output.read().decode("utf-8", "replace")
    if os.WIFSIGNALED(status):
        return "fault", f"signal {os.WTERMSIG(status)}"
    code = os.waitstatus_to_exitcode(status)
    return judged(code, printed)


def judged(code: int, printed: str) -> tuple[str, str]:
    """Whether what a command printed and returned is allowed."""
    lines = [line for line in printed.splitlines() if line.strip()]
    if "Traceback (most recent call last)" in printed:
        where = [line.strip() for line in lines if line.strip().startswith("File")]
        ours = [line for line in where if "/site-packages/" not in line] or where or [""]
        return "fault", f"{lines[-1][:120]} @ {ours[-1][-90:]}"
    if code == 0:
        return "accepted", ""
    sentence = lines[-1] if lines else ""
    if code != 2 or not sentence.startswith("error: "):
        return "fault", f"status {code}: {sentence[:150]}"
    if len(sentence) > LONGEST or not sentence.isprintable():
        return "fault", f"sentence of {len(sentence)} signs: {sentence[:100]!r}"
    return "refused", sentence


def _child(reader: str, run: Path, options: list[str], output: int) -> None:
    """In the child: work with the standard streams in a file; never returns."""
    code = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        from features.run import command

        module, _, name = reader.partition(":")
        sys.argv = [reader, "--run", str(run), *options]
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(os.fdopen(n, "wb", 0), write_through=True) for n in (1, 2)
        )
        os.chdir(run.parent)
        command.run(getattr(importlib.import_module(module), name or "main"))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _patience(reader: str, run: Path, copy: Path) -> float:
    """Seconds to wait for a reader: 20, or three times what it takes on the whole run."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    begin = time.monotonic()
    outcome, words = call(reader, copy, READERS[reader][0], 600)
    if outcome != "accepted":
        raise SystemExit(f"{reader}: does not accept the whole run ({words})")
    print(f"{reader}: {time.monotonic() - begin:.1f} s on the whole run", flush=True)
    return max(PATIENCE, 3 * (time.monotonic() - begin))


def files_of(run: Path) -> list[str]:
    """Files of a run that some stage reads, relative to it."""
    names = [str(path.relative_to(run)) for path in sorted(run.rglob("*")) if path.is_file()]
    return [name for name in names if not any(part in name for part in IGNORED)]


def fuzz(run: Path, folder: Path, settings: Settings) -> tuple[dict[str, Counter[str]], list[str]]:
    """Damage and call. Returns the counts by file, and the faults in words."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    faults: list[str] = []
    copy = folder / run.name
    patience = {reader: _patience(reader, run, copy) for reader in READERS}
    for name in files_of(run):
        if settings.only not in name:
            continue
        readers = [reader for reader, (_, pattern) in READERS.items() if re.search(pattern, name)]
        like = [p for p in run.rglob(f"*{Path(name).suffix}") if p.is_file() and p != run / name]
        for reader in readers:
            for case in range(settings.cases):
                seed = (settings.seed, *name.encode(), *reader.encode(), case)
                rng = np.random.default_rng(seed)
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(run, copy)
                how = damage(copy / name, like or [run / name], rng)
                outcome, words = call(reader, copy, READERS[reader][0], patience[reader])
                counts[name][outcome] += 1
                if outcome == "fault":
                    faults.append(f"{name} [{how}] {reader}: {words}")
                    print(faults[-1], flush=True)
    return counts, faults


def main(settings: Settings) -> None:
    """Print the faults as they come, then a table by file."""
    for reader in READERS:
        importlib.import_module(reader.partition(":")[0])
    with tempfile.TemporaryDirectory(prefix="fuzz-run-") as name:
        counts, faults = fuzz(settings.run.resolve(), Path(name), settings)
    print(f"{'file':36} {'cases':>6} {'refused':>8} {'accepted':>9} {'faults':>7}")
    total: Counter[str] = Counter()
    for file, of_file in [*counts.items(), ("all", total)]:
        print(
            f"{file:36} {of_file.total():6} {of_file['refused']:8} {of_file['accepted']:9} "
            f"{of_file['fault']:7}"
        )
        if of_file is not total:
            total += of_file
    sys.exit(bool(faults))


if __name__ == "__main__":
    main(tyro.cli(Settings))
