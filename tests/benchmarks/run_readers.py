"""What reads the files of a run, each called in a process of its own, for `fuzz_run`."""

import importlib
import io
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATIENCE = 20.0  # seconds
LONGEST = 400
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
    "tests.benchmarks.run_readers:evidence": ([], r"cells/|features\.|evidence/|dataset"),
    "tests.benchmarks.run_readers:one_study": (
        [],
        r"evidence/(lungs|cells|digests)|baseline/(fold|digests|oof|calib)|features\.|zones",
    ),
}


@dataclass(frozen=True)
class RunOnly:
    """Settings of a reader that is no stage."""

    run: Path


def items(settings: RunOnly) -> None:
    """Read the dataset as the measuring does."""
    from features.measuring.one_image import items_of
    from features.reading import rle
    from features.run.files import stamps
    from features.run.folder import RunFolder, measured

    rows = measured(RunFolder(settings.run).check().dataset.read())
    stamps(rows["path"])
    for item, mask in zip(items_of(rows), rows["mask"], strict=True):
        if isinstance(mask, str):
            rle.decode(mask, item.size)


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
