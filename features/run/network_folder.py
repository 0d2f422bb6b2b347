"""The folder of one fold's network in a run folder: the path of every file of its training."""

from dataclasses import dataclass
from pathlib import Path

from features.run.schemas import HISTORY
from features.run.tables import Table


@dataclass(frozen=True)
class NetworkFolder:
    """Paths of one network's training.

    Parameters
    ----------
    root : Path
        The folder.
    """

    root: Path

    @property
    def weights(self) -> Path:
        """Final weights, with what they belong to; written last."""
        return self.root / "weights.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Folder of the state between two epochs."""
        return self.root / "checkpoint"

    @property
    def history(self) -> Table:
        """Losses and scores by epoch."""
        return Table(self.root / "curves.csv", HISTORY, "cnn")

    @property
    def curves(self) -> Path:
        """The same as a picture."""
        return self.root / "curves.png"

    @property
    def panel(self) -> Path:
        """Picture of some X-rays with true and predicted outlines."""
        return self.root / "panel.png"

    @property
    def planes(self) -> Path:
        """The evidence maps that the network sees; kept while it is trained."""
        return self.root / "evidence.npy"

    @property
    def first(self) -> "NetworkFolder":
        """The first training of the same network, on the X-ray alone."""
        return NetworkFolder(self.root / "first")
