"""All stages at the size that users have: ``python tests/benchmarks/full_size.py --images 15252``.

Lays a dataset folder of SIIM-ACR out of links to the X-rays that are there, again and again under
new ids and with new patients: 79% to train, of these 22% with a pneumothorax, the others to test. A
mask that another model drew counts as a mask here, since time and memory are what is measured and
the scores mean nothing. Where there are no X-rays, phantoms are drawn. Then make runs the stages
one by one, and of each is printed

- seconds, by the clock;
- peak memory of all its processes, sampled twice a second (Linux; see memory.py): `held` is what
  they hold themselves, `mapped` what files that they have mapped take besides, which the system
  takes back when it needs the memory;
- bytes that it wrote into the run folder.

With several sizes, the last table says how much of each size's memory is the next one's.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import rmtree

import numpy as np
import pandas as pd
import tyro
from memory import children
from stages import PYTHON, ROOT, environment

from features.reading import rle

TRAIN_SHARE, POSITIVE_SHARE = 12047 / 15252, 2669 / 12047
IMAGES_A_PATIENT = 3
SECONDS_BETWEEN_SAMPLES = 0.5
ID, MASK = "ImageId", "EncodedPixels"
# The stages, and the last file that each writes. `dataset` is part of `measure`, unless asked for.
STAGES = {
    "dataset": "dataset.parquet",
    "measure": "features.parquet",
    "evidence": "evidence/zones.parquet",
    "classifier": "baseline/metrics.json",
    "shap": "baseline/shap.parquet",
    "training": "cnn/settings.json",
    "maps": "cnn/maps/index.csv",
    "gate": "gate.json",
    "report": "report/index.html",
    "submission": "submission.csv",
}


@dataclass(frozen=True)
class Settings:
    """Run the stages on a dataset of any size and print what each of them takes."""

    images: tuple[int, ...] = (15252,)
    """Sizes, in images to train and to test; one after the other."""
    stages: tuple[str, ...] = tuple(STAGES)[1:]
    """Stages to run, of measure, evidence, classifier, shap, training, maps, gate, report,
    submission; those before them must have been run. Measuring reads the dataset, too; with
    dataset before it, each file is decoded twice, to compare."""
    source: Path = ROOT.parent / "shared" / "data" / "siim-mini"
    """Dataset folder of SIIM-ACR, stage 2, whose X-rays are taken."""
    tree: Path = ROOT
    """Checkout whose make runs: another one to compare with, which needs its own .venv."""
    options: tuple[str, ...] = ()
    """Further settings of make, e.g. CNN_OPTIONS='--epochs 2'."""
    keep: bool = False
    """Keep the folders data/full-N and runs/full-N of that checkout; the stages that are done there
    are not done again."""


@dataclass(frozen=True)
class Peak:
    """Peak memory of a command and its children, in GiB.

    Parameters
    ----------
    held : float
        What the processes hold themselves.
    total : float
        That and the pages of files that they have mapped.
    """

    held: float
    total: float


def sources(folder: Path) -> pd.DataFrame:
    """X-rays of a dataset folder: path, and mask by its csv or by another model.

    Phantoms are drawn where the folder is not there.
    """
    if not folder.is_dir():
        folder = ROOT / "data" / "full-phantoms"
        if not folder.is_dir():
            drawn = ["--out", str(folder), "--train", "120", "--test", "1"]
            writes = [str(PYTHON), "-m", "features.phantom.write", *drawn]
            subprocess.run(writes, cwd=ROOT, env=environment(), check=True)
    lists = [folder / "stage_2_train.csv", folder / "weak_masks.csv"]
    masks = pd.concat([pd.read_csv(path, dtype=str) for path in lists if path.exists()])
    masks.columns = masks.columns.str.strip()
    paths = {path.stem: path for path in (folder / "stage_2_images").rglob("*.dcm")}
    masks = masks.drop_duplicates(ID).assign(path=lambda table: table[ID].map(paths))
    return masks[["path", MASK]].dropna().reset_index(drop=True)


def lay_out(folder: Path, source: pd.DataFrame, images: int) -> None:
    """Write a dataset folder of links.

    Parameters
    ----------
    folder : Path
        To be made.
    source : DataFrame
        Of `sources`.
    images : int
    """
    chosen = draw_rows(source[MASK] != rle.EMPTY, images)
    ids = np.array([f"ID_{number:08x}" for number in range(images)])
    (folder / "stage_2_images").mkdir(parents=True)
    for name, path in zip(ids, source["path"].iloc[chosen], strict=True):
        (folder / "stage_2_images" / f"{name}.dcm").symlink_to(Path(path).resolve())
    train = np.arange(images) < round(images * TRAIN_SHARE)
    codes = source[MASK].to_numpy(object)[chosen]
    pd.DataFrame({ID: ids[train], MASK: codes[train]}).to_csv(
        folder / "stage_2_train.csv", index=False
    )
    pd.DataFrame({ID: ids[~train], MASK: rle.EMPTY}).to_csv(
        folder / "stage_2_sample_submission.csv", index=False
    )
    patients = [f"P{number // IMAGES_A_PATIENT:06d}" for number in range(images)]
    pd.DataFrame({ID: ids, "patient": patients}).to_csv(folder / "patients.csv", index=False)


def draw_rows(positive: pd.Series, images: int) -> np.ndarray:
    """Which X-ray each image is: positives and negatives in turn, by the challenge's share."""
    generator = np.random.default_rng(0)
    wanted = generator.random(images) < POSITIVE_SHARE
    chosen = np.empty(images, np.intp)
    for kind in (True, False):
        pool = generator.permutation(np.flatnonzero(positive.to_numpy() == kind))
        chosen[wanted == kind] = np.resize(pool, int((wanted == kind).sum()))
    return chosen


def peak_of(command: list[str], tree: Path) -> tuple[float, Peak]:
    """Run a command; its seconds and peak memory.

    Raises
    ------
    SystemExit
        If it fails.
    """
    began, held, total = time.monotonic(), 0, 0
    process = subprocess.Popen(command, cwd=tree, env=environment(), stdout=sys.stderr)
    while process.poll() is None:
        samples = [memory_of(pid) for pid in children(process.pid)]
        held = max(held, sum(of_one[0] for of_one in samples))
        total = max(total, sum(of_one[1] for of_one in samples))
        time.sleep(SECONDS_BETWEEN_SAMPLES)
    if process.returncode:
        raise SystemExit(f"failed with status {process.returncode}: {' '.join(command)}")
    return time.monotonic() - began, Peak(held / 2**20, total / 2**20)


def memory_of(pid: int) -> tuple[int, int]:
    """Memory of a process in kB, shared pages divided by their users: its own, and all."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines[1:])}
    total, of_files = (int(sizes[name][0]) for name in ("Pss", "Pss_File"))
    return total - of_files, total


def written(run: Path, since: float) -> int:
    """Bytes of the files of a run that were written since a time."""
    sizes = [path.stat() for path in run.rglob("*") if path.is_file()]
    return sum(size.st_size for size in sizes if size.st_mtime >= since)


def measure(settings: Settings, images: int, source: pd.DataFrame) -> dict[str, Peak]:
    """Run the stages at one size and print a row of each; their memory."""
    data, run = (settings.tree / kind / f"full-{images}" for kind in ("data", "runs"))
    if not data.is_dir():
        lay_out(data, source, images)
    given = [f"DATA={data.relative_to(settings.tree)}", f"RUN={run.relative_to(settings.tree)}"]
    make = ["make", "--no-print-directory", *given, *settings.options]
    # Phantoms that help to train are drawn once, for all sizes.
    auxiliary = "runs/auxiliary-300/cells/index.parquet"
    if "evidence" in settings.stages and not any("AUXILIARY" in text for text in settings.options):
        peak_of([*make, auxiliary], settings.tree)
    peaks: dict[str, Peak] = {}
    whole = 0.0
    for stage in settings.stages:
        began = time.time()
        seconds, peaks[stage] = peak_of(
            [*make, str(Path(given[1][4:]) / STAGES[stage])], settings.tree
        )
        whole += seconds
        row = (
            stage,
            f"{images:,}",
            f"{seconds:.0f}",
            f"{peaks[stage].held:.2f}",
            f"{peaks[stage].total - peaks[stage].held:.2f}",
            f"{written(run, began) / 1e6:,.0f}",
        )
        print(f"| {' | '.join(row)} |", flush=True)
    size = written(run, 0)
    most = max(peak.total for peak in peaks.values())
    print(
        f"| all | {images:,} | {whole:.0f} | {most:.2f} in all | | {size / 1e6:,.0f} |", flush=True
    )
    if not settings.keep:
        rmtree(data)
        rmtree(run)
    return peaks


def main(settings: Settings) -> None:
    """Print the tables."""
    if unknown := set(settings.stages) - set(STAGES):
        raise SystemExit(f"--stages {min(unknown)}: known stages are {', '.join(STAGES)}")
    source = sources(settings.source)
    print(f"{len(source)} X-rays, {(source[MASK] != rle.EMPTY).sum()} with a mask\n")
    print("| stage | images | seconds | memory held, GiB | files mapped, GiB | written, MB |")
    print("|---|---|---|---|---|---|", flush=True)
    by_size = {images: measure(settings, images, source) for images in sorted(settings.images)}
    sizes = list(by_size)
    if len(sizes) < 2:
        return
    print("\nMemory held at one size, divided by that at the size before:\n")
    steps = list(pairwise(sizes))
    print(f"| stage | {' | '.join(f'{big:,} / {small:,}' for small, big in steps)} |")
    print(f"|---|{'---|' * len(steps)}")
    for stage in settings.stages:
        ratios = [by_size[big][stage].held / by_size[small][stage].held for small, big in steps]
        print(f"| {stage} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
