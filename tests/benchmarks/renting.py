"""What to rent for a dataset: ``python -m tests.benchmarks.renting TABLE``.

TABLE is what full_size.py printed for two sizes or more. Seconds, memory and bytes of each stage
are taken to grow with the images on a straight line through them, and are read off for other sizes;
what falls is taken to stay at its most. A stage's core hours are its hours times the cores that it
was measured on, busy or not, as one pays for them.

On a cluster each worker has one core. A stage's core hours are spread over the workers that it can
keep busy: as many as it has models to train, or, where it goes through images, as many as the
client can serve, whose images a second cluster_scaling.py measures.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from features.run import command

HOUR, GIB = 3600, 2**30
# Tasks of each stage on a cluster: models of evidence map, folds; None: images.
TASKS: dict[str, int | None] = {
    "measure": None,
    "evidence": 15,
    "classifier": 5,
    "shap": 1,
    "training": 5,
    "maps": None,
    "gate": None,
    "report": 1,
    "submission": None,
}
QUANTITIES = ("seconds", "memory", "written")


@dataclass(frozen=True)
class Settings:
    """Print hours, core hours, memory and disk for datasets of several sizes."""

    table: tyro.conf.Positional[Path]
    """File with the rows that full_size.py printed."""
    images: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Sizes to rent for."""
    cores: int = 2
    """Cores of the machine that the table was measured on."""
    workers: tuple[int, ...] = (16, 64)
    """Sizes of the clusters, in workers of one core."""
    client: float = 500.0
    """Images a second that a cluster's client takes in."""


def measured(path: Path) -> pd.DataFrame:
    """Rows of the stages: stage, images, seconds, memory in GiB, written in GiB."""
    rows = []
    for line in path.read_text().splitlines():
        cells = [cell.strip().replace(",", "") for cell in line.strip("| \n").split("|")]
        if len(cells) == 6 and cells[0] in TASKS:
            stage, images, seconds, held, _, megabytes = cells
            numbers = (int(images), float(seconds), float(held), float(megabytes) * 1e6 / GIB)
            rows.append((stage, *numbers))
    table = pd.DataFrame(rows, columns=["stage", "images", *QUANTITIES])
    if set(table["stage"]) != set(TASKS) or (table.groupby("stage")["images"].nunique() < 2).any():
        raise SystemExit(f"{path}: holds no two sizes of each stage as full_size.py prints them")
    return table


def at_size(table: pd.DataFrame, images: int) -> pd.DataFrame:
    """Seconds, memory and bytes of each stage for so many images."""
    return pd.DataFrame(
        {
            stage: {name: on_line(rows["images"], rows[name], images) for name in QUANTITIES}
            for stage, rows in table.groupby("stage", sort=False)
        }
    ).T


def on_line(sizes: pd.Series, values: pd.Series, size: int) -> float:
    """Value of the line through some points; where it falls, the largest of them."""
    slope, start = np.polyfit(sizes, values, 1)
    if slope < 0:
        return float(values.max())
    return float(slope * size + start)


def on_cluster(seconds: pd.Series, images: int, workers: int, settings: Settings) -> float:
    """Hours of all stages."""
    total = 0.0
    for stage, of_stage in (seconds * settings.cores).items():
        tasks = TASKS[str(stage)]
        least = images / settings.client if tasks is None else 0.0
        total += max(of_stage / min(workers, tasks or workers), least)
    return total / HOUR


def main(settings: Settings) -> None:
    """Print a table of the whole and one of the stages."""
    table = measured(settings.table)
    cluster = " | ".join(f"hours, {workers} workers" for workers in settings.workers)
    print(
        f"| images | core hours | hours, {settings.cores} cores | {cluster} | GiB | GiB on disk |"
    )
    print(f"|---|---|---|{'---|' * len(settings.workers)}---|---|")
    sizes = {images: at_size(table, images) for images in settings.images}
    for images, stages in sizes.items():
        hours = stages["seconds"].sum() / HOUR
        spread = [
            f"{on_cluster(stages['seconds'], images, workers, settings):,.1f}"
            for workers in settings.workers
        ]
        print(
            f"| {images:,} | {hours * settings.cores:,.0f} | {hours:,.1f} | {' | '.join(spread)} | "
            f"{stages['memory'].max():,.1f} | {stages['written'].sum():,.1f} |"
        )
    print(f"\n| stage, core hours and GiB | {' | '.join(f'{size:,}' for size in sizes)} |")
    print(f"|---|{'---|' * len(sizes)}")
    for stage in TASKS:
        cells = [
            f"{stages.loc[stage, 'seconds'] * settings.cores / HOUR:,.1f}; "
            f"{stages.loc[stage, 'memory']:,.1f}"
            for stages in sizes.values()
        ]
        print(f"| {stage} | {' | '.join(cells)} |")


if __name__ == "__main__":
    command.run(main, writes=False)
