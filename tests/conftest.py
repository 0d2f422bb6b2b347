"""Shared fixtures: the real X-rays beside the checkout, and tiny datasets made on the spot."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.run.folder import RunFolder

with warnings.catch_warnings():
    # shap imports deprecated parts of matplotlib and IPython; its warnings are not ours.
    warnings.simplefilter("ignore")
    import shap  # noqa: F401

# What JAX compiles is shared among all processes of the tests: it takes longer than their work.
if "PYTEST_XDIST_WORKER" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# As many devices in the tests' own process as in those that they start, see cnn.devices.mesh.
os.environ["JAX_NUM_CPU_DEVICES"] = "2"

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real X-rays; tests that need it are skipped where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"real X-rays are not here ({SHARED.name} folder beside the checkout)")
    return SHARED


@pytest.fixture
def png_dataset(tmp_path: Path) -> Path:
    """A stage-2 folder of eight 64x64 PNGs: 3 positive, 3 negative, 1 test, 1 unlabelled."""
    from tests.helpers.image_files import write_png

    folder = tmp_path / "data"
    for number in range(8):
        write_png(folder / "stage_2_images" / f"i{number}.png", number)
    masks = ["0 3", "5 2", "64 1"]
    rows = [(f"i{n}", masks[n] if n < 3 else "-1") for n in range(6)]
    # The first image has two annotations, which overlap.
    rows.append(("i0", "2 3"))
    table = pd.DataFrame(rows, columns=["ImageId", "EncodedPixels"])
    table.to_csv(folder / "stage_2_train.csv", index=False)
    sample = pd.DataFrame({"ImageId": ["i6"], "EncodedPixels": ["-1"]})
    sample.to_csv(folder / "stage_2_sample_submission.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def noise_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A trained run on noise (see noise_run.py); tests that change it work on a copy."""
    from tests.helpers.noise_run import make_run

    return make_run(tmp_path_factory.mktemp("noise"))


@pytest.fixture
def copied_noise_run(noise_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of that run, which a test may change."""
    return RunFolder(Path(shutil.copytree(noise_run.root, tmp_path / "noise")))


@pytest.fixture(scope="session")
def noise_report(noise_run: RunFolder) -> dict[str, Any]:
    """What the report of that run shows."""
    from baseline.explanation import trained_run
    from baseline.report import write
    from tests.helpers.noise_run import SHOWN

    return write.context(trained_run.read(noise_run), SHOWN, 1)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with a finished run (see make_tree.py)."""
    from tests.helpers.make_tree import build

    build(tree := tmp_path_factory.mktemp("tree"))
    return tree


@pytest.fixture
def tree(built: Path, tmp_path: Path) -> Path:
    """A copy of that tree, which a test may change."""
    from tests.helpers.make_tree import copy_tree

    copy_tree(built, copy := tmp_path / "tree")
    return copy


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder that is ready for the network (see tiny_run.py)."""
    from tests.helpers.tiny_run import make_run

    return make_run(tmp_path)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings of the smallest network that trains in a moment, in the place of the demo's."""
    from tests.helpers.tiny_run import shrink

    return shrink(monkeypatch)


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the service's temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def predictor() -> Any:
    """A model of the service that answers at once."""
    from tests.helpers.web_service import FakePredictor

    return FakePredictor()


@pytest.fixture
def service(predictor: Any, private: Path) -> Any:
    """The service of that model."""
    from tests.helpers.web_service import make_service

    return make_service(predictor)


@pytest.fixture
def client(service: Any) -> Iterator[Any]:
    """A visitor of it."""
    from tests.helpers.web_service import client_of

    with client_of(service) as visitor:
        yield visitor
