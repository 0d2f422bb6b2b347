"""Features measured on a Dask cluster: same rows, same order, whatever becomes of a worker."""

import os
import signal

import pytest
from distributed import LocalCluster

from features.measuring.one_image import Choice, Item, measure_image
from features.run import parallel
from features.run.files import UserError
from tests.helpers.image_files import write_png


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as running:
        yield running


def pids(cluster) -> dict[str, int]:
    return {name: nanny.pid for name, nanny in cluster.workers.items()}


def quick_row(path: str) -> dict[str, float]:
    item = Item(path, (256, 256))
    return measure_image(item, Choice(("firstorder", "shape"))).features


def reciprocal(number: int) -> float:
    return 1 / number


def test_same_rows_in_the_same_order_though_a_worker_dies(cluster, tmp_path):
    paths = [str(write_png(tmp_path / f"{seed}.png", seed, size=256)) for seed in range(24)]
    expected = [quick_row(path) for path in paths]
    before = pids(cluster)
    rows = []
    for row in parallel.stream(quick_row, paths, "rows", scheduler=cluster.scheduler_address):
        rows.append(row)
        if len(rows) == 2:
            os.kill(next(iter(before.values())), signal.SIGKILL)
    assert rows == expected
    assert pids(cluster) != before


@pytest.mark.parametrize("count", [1, 31, 300, 777])
def test_many_quick_items_go_several_at_once_and_come_in_order(cluster, count):
    address = cluster.scheduler_address
    assert list(parallel.stream(str, range(count), "items", scheduler=address)) == [
        str(number) for number in range(count)
    ]


def test_an_error_of_one_of_several_at_once_ends_the_stream(cluster):
    items = [*range(1, 200), 0, *range(200)]
    with pytest.raises(ZeroDivisionError):
        list(parallel.stream(reciprocal, items, "items", scheduler=cluster.scheduler_address))


def test_no_scheduler_there(monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    with pytest.raises(UserError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler answers"):
        list(parallel.stream(len, ["a"], "rows", scheduler="tcp://127.0.0.1:9"))


def test_a_scheduler_without_workers(monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as idle,
        pytest.raises(UserError, match="it has no worker"),
    ):
        list(parallel.stream(len, ["a"], "rows", scheduler=idle.scheduler_address))
