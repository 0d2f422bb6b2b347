"""Files of a run folder that the package `cnn` writes: networks, maps, gate and submission."""

from dataclasses import dataclass
from pathlib import Path

from features.run.network_folder import NetworkFolder
from features.run.schemas import MAPS, MASKS, OUTLINES
from features.run.tables import Table


@dataclass(frozen=True)
class CnnFiles:
    """A part of `features.run.folder.RunFolder`.

    Parameters
    ----------
    root : Path
        The run folder.
    """

    root: Path

    # --- the U-Net -------------------------------------------------------------------------------
    @property
    def unet(self) -> Path:
        """Folder of the U-Net."""
        return self.root / "cnn"

    def unet_fold(self, fold: int) -> "NetworkFolder":
        """Folder of the network that was trained without a fold."""
        return NetworkFolder(self.unet / f"fold{fold}")

    def unet_folds(self) -> list["NetworkFolder"]:
        """Folders of all networks that are there."""
        return [NetworkFolder(path) for path in sorted(self.unet.glob("fold*"))]

    @property
    def unet_settings(self) -> Path:
        """What the networks were trained with; written last."""
        return self.unet / "settings.json"

    def masks_to_learn(self, size: int) -> Path:
        """Masks of the images to learn from at the network's size."""
        return self.unet / f"masks-{size}.npy"

    def masks_from(self, size: int) -> Path:
        """What they come from; written last."""
        return self.unet / f"masks-{size}.json"

    @property
    def maps(self) -> Table:
        """Where the probability map of each image lies."""
        return Table(self.unet / "maps" / "index.csv", MAPS, "cnn")

    def map_part(self, part: int) -> Path:
        """A file of some images' probability maps."""
        return self.unet / "maps" / f"part-{part:04d}.npz"

    # --- gate and submission ---------------------------------------------------------------------
    @property
    def outlines(self) -> Table:
        """Masks for the report."""
        return Table(self.unet / "outlines.csv", OUTLINES, "gate")

    @property
    def gate_figures(self) -> Path:
        """What the report shows of the gate."""
        return self.unet / "gate_figures.json"

    @property
    def gate(self) -> Path:
        """The chosen rule."""
        return self.root / "gate.json"

    @property
    def metrics(self) -> Path:
        """Scores of every policy."""
        return self.root / "metrics.json"

    @property
    def submission(self) -> Table:
        """The submission."""
        return Table(self.root / "submission.csv", MASKS, "submission")

    def submission_of(self, policy: str) -> Table:
        """The submission by another policy than the default one."""
        return Table(self.root / f"submission_{policy}.csv", MASKS, "submission")
