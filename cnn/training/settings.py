"""What a user chooses for a training, and the configuration that follows from it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cnn.devices.cluster import Cluster
from cnn.devices.mesh import accelerated
from cnn.network.config import PROFILES, TrainConfig, profile_for
from cnn.weights import checkpoint, tensors
from features.run.files import UserError
from features.run.folder import RunFolder

# Options that replace a number of the profile, and the least that each may be.
LEAST = {"epochs": 1, "steps": 1, "batch": 1, "accumulate": 1, "patience": 0, "first_epochs": 0}


@dataclass(frozen=True)
class Settings:
    """Train one U-Net a fold on the images of RUN, into RUN/cnn/."""

    run: Path
    """Run folder; dataset.parquet in it is read, cnn/ written."""
    profile: Literal["demo", "lite", "full"] = "lite"
    """demo: a small network, a minute; lite: 128 pixels, twelve minutes on 2 cores, whatever the
    number of images (with fewer than 150 lesions it learns from the X-ray alone for most of that
    time); full: 512 pixels, 36,000 steps a fold, for an accelerator."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    only: int | None = None
    """Train the network of this fold alone: enough as a pretrained network for another training
    (--init)."""
    epochs: int | None = None
    """Epochs of the final training of a fold, instead of the profile's."""
    steps: int | None = None
    """Batches an epoch, instead of the profile's."""
    batch: int | None = None
    """Images a batch, instead of the profile's."""
    accumulate: int | None = None
    """Parts into which each device's share of a batch is cut, where memory is short."""
    rate: float | None = None
    """Peak of the learning rate of the final training, instead of the profile's."""
    first_epochs: int | None = None
    """Epochs of the first training, in which the network sees the X-ray alone, instead of the
    profile's."""
    weak_share: float | None = None
    """Largest share of images with a weak mask, where there are any, instead of the profile's; 0:
    none."""
    patience: int | None = None
    """Stop a fold after so many epochs without gain on one more fold left out; 0: never."""
    evidence: bool = True
    """Show the network the handcrafted evidence map too, and let it begin from there."""
    init: str | None = None
    """Begin from a network trained on other images: <run>/cnn/fold0/weights.safetensors of the same
    profile. In place of the number, {fold} gives each fold its own. "none": from random weights.
    If not given, lite begins from the network that ships with the program, which has learned from
    phantoms alone, and the other profiles from random weights."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What to compute in; auto: as the run was begun, else bfloat16 on an accelerator and float32
    on processors."""
    accelerator: bool = False
    """Refuse to train on processors."""
    cluster: Cluster = field(default_factory=Cluster)
    """Several processes that train as one."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers each train the
    network of a fold; they must find run folder and images under the same paths."""
    overwrite: bool = False
    """Delete weights of other settings or data and train anew, instead of refusing."""


def configured(settings: Settings, lesions: int) -> TrainConfig:
    """The profile with the changes that the settings make.

    Parameters
    ----------
    settings : Settings
    lesions : int
        Number of images with a lesion to learn from.

    Raises
    ------
    UserError
        If a number is out of its range, or options exclude each other.
    """
    _check_numbers(settings)
    if settings.scheduler and settings.cluster.coordinator:
        raise UserError(
            "--scheduler and --cluster.coordinator: by the one each machine trains a fold, by the "
            "other all train one network; give one of them."
        )
    changes = {name: getattr(settings, name) for name in (*LEAST, "weak_share")}
    changes["learning_rate"] = settings.rate
    config = profile_for(settings.profile, lesions, settings.evidence)
    return replace(
        config,
        unet=replace(config.unet, evidence=settings.evidence),
        bfloat16=_in_bfloat16(settings),
        **{name: value for name, value in changes.items() if value is not None},
    )


def _check_numbers(settings: Settings) -> None:
    """Refuse numbers out of their range."""
    for name, least in LEAST.items():
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} is {value}, but must be at least {least}.")
    if not 0 <= settings.seed < 2**31:
        raise UserError(f"--seed is {settings.seed}, but must be from 0 to {2**31 - 1}.")
    if settings.weak_share is not None and not 0 <= settings.weak_share < 1:
        raise UserError(f"--weak-share is {settings.weak_share}, but must be from 0 to below 1.")
    if settings.rate is not None and not 0 < settings.rate < 1:
        raise UserError(f"--rate is {settings.rate}, but must lie between 0 and 1.")


def _in_bfloat16(settings: Settings) -> bool:
    """Whether to compute in bfloat16.

    If the user does not choose: as this run has so far, or else on an accelerator only. So a run
    that is moved to another device goes on there instead of being refused.
    """
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    for folder in RunFolder(settings.run).unet_folds():
        info = tensors.load(folder.weights)[1] if folder.weights.exists() else None
        info = info or checkpoint.read_info(folder.checkpoint)
        config = (info or {}).get("config", {})
        if config.get("unet", {}).get("size") == PROFILES[settings.profile].unet.size:
            return bool(config.get("bfloat16"))
    return accelerated()
