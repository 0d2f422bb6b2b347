"""Train one U-Net a fold: ``python -m cnn.training.train --run RUN --profile demo|lite|full``.

Folds that are finished are left alone, and one that was interrupted goes on, see `cnn.training.train_fold`.
Nothing is trained before all that the settings and the data can be blamed for has been said.
"""

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from cnn.data import planes
from cnn.data.batches import EpochPlan, labelled, training_order
from cnn.devices.compilation import keep_compiled
from cnn.devices.mesh import (
    Cluster,
    accelerated,
    all_devices,
    require_device,
    first_process_first,
    is_first_process,
    from_each_process,
    split_processor,
)
from cnn.network.config import PROFILES, TrainConfig
from cnn.prediction import predict
from cnn.training.history import summary
from cnn.training.train_fold import left_out, phases, train_phases
from cnn.weights import checkpoint, provenance, tensors
from cnn.weights.pretrained import pretrained_for
from features.run import command
from features.run.files import UserError, write_json


@dataclass(frozen=True)
class Settings:
    """Settings of the stage."""

    run: Path
    """Run folder; dataset.parquet in it is read, cnn/ written."""
    profile: Literal["demo", "lite", "full"] = "lite"
    """demo: a small network, a minute; lite: 128 pixels, ten minutes on 2 cores, whatever the
    number of images; full: 512 pixels, 36,000 steps a fold, for an accelerator."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    only: int | None = None
    """Train the network of this fold alone: enough as a start for another training (--init)."""
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
    """Epochs before these, in which the network sees the X-ray alone, instead of the profile's."""
    weak_share: float | None = None
    """Share of weakly labelled images in the first epochs, where there are any; 0: none."""
    patience: int | None = None
    """Stop a fold after so many epochs without gain on one more fold left out; 0: never."""
    evidence: bool = True
    """Show the network the handcrafted evidence map too, and let it begin from there."""
    init: str | None = None
    """Begin from a network trained on other images: <run>/cnn/fold0/weights.safetensors of the same
    profile. In place of the number, {fold} gives each fold its own. "none": from random weights.
    Otherwise lite begins from the network that ships with the program, which saw phantoms alone."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What to compute in; auto: as the run was begun, else bfloat16 on an accelerator and float32
    on processors."""
    accelerator: bool = False
    """Refuse to train on processors."""
    cluster: Cluster = field(default_factory=Cluster)
    """Several processes that train as one."""
    overwrite: bool = False
    """Delete weights of other settings or data and train anew, instead of refusing."""


def configured(settings: Settings) -> TrainConfig:
    """The profile with the changes asked for.

    Raises
    ------
    UserError
        If a number is out of its range.
    """
    config = PROFILES[settings.profile]
    for name, least in (
        ("epochs", 1),
        ("steps", 1),
        ("batch", 1),
        ("accumulate", 1),
        ("patience", 0),
        ("first_epochs", 0),
    ):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} is {value}, but must be at least {least}.")
        config = config if value is None else replace(config, **{name: value})
    if not 0 <= settings.seed < 2**31:
        raise UserError(f"--seed is {settings.seed}, but must be from 0 to {2**31 - 1}.")
    if settings.weak_share is not None:
        if not 0 <= settings.weak_share < 1:
            raise UserError(
                f"--weak-share is {settings.weak_share}, but must be from 0 to below 1."
            )
        config = replace(config, weak_share=settings.weak_share)
    if settings.rate is not None:
        if not 0 < settings.rate < 1:
            raise UserError(f"--rate is {settings.rate}, but must lie between 0 and 1.")
        config = replace(config, learning_rate=settings.rate)
    narrow = settings.precision == "bfloat16" or (
        settings.precision == "auto" and narrows(settings)
    )
    unet = replace(config.unet, evidence=settings.evidence)
    return replace(config, unet=unet, bfloat16=narrow)


def narrows(settings: Settings) -> bool:
    """Whether to compute in bfloat16 where nothing was said: as this run has so far, or else on an
    accelerator, so that a run that comes to another device is gone on with and not lost."""
    for folder in sorted((settings.run / "cnn").glob("fold*")):
        final = folder / "weights.safetensors"
        held = tensors.load(final)[1] if final.exists() else None
        held = held or checkpoint.read_info(folder / "checkpoint")
        config = (held or {}).get("config", {})
        if config.get("unet", {}).get("size") == PROFILES[settings.profile].unet.size:
            return bool(config.get("bfloat16"))
    return accelerated()


def asked(only: int | None, count: int) -> list[int]:
    """The folds to train, of so many.

    Raises
    ------
    UserError
        If the one that is asked for is none of them.
    """
    if only is not None and not 0 <= only < count:
        raise UserError(
            f"--only is {only}, but the folds are 0 to {count - 1}; give one of them, or leave it "
            "out to train all."
        )
    return list(range(count)) if only is None else [only]


def main(settings: Settings) -> None:
    """Train the folds that are not finished, then write the settings: the mark that all are."""
    if settings.cluster.coordinator is None:
        split_processor()
    settings.cluster.join()
    require_device(settings.accelerator)
    config = configured(settings)
    folder, seed = settings.run / "cnn", settings.seed
    weak = bool(config.first_epochs and config.weak_share)
    data = first_process_first(lambda: labelled(settings.run, config.unet.size, settings.evidence, weak))
    keep_compiled(folder)
    all_devices(config.batch, config.accumulate)  # complaints come before any training
    missing = {}
    chosen = asked(settings.only, data.fold_count)
    tested = predict.scored_images(settings.run).query("fold < 0")["id"].tolist()
    for fold in chosen:
        start = pretrained_for(settings.init, fold, config)
        identity = provenance.identify(config, seed, fold, data, start)
        done = partial(provenance.is_finished, folder / f"fold{fold}", identity, settings.overwrite)
        if not first_process_first(done):
            training_order(data, left_out(fold, data, config), EpochPlan(1, 1, 1.0), (seed,))
            begun = next(iter(phases(config, data).values()))
            provenance.initial_weights(begun, seed, fold, data, start, tested)
            missing[fold] = identity, start
        elif is_first_process():
            provenance.tidy(folder / f"fold{fold}")
    if settings.only is not None and missing and is_first_process():
        (folder / "settings.json").unlink(missing_ok=True)  # no mark that all are of one training
    for fold, (identity, start) in missing.items():
        own, seen = folder / f"fold{fold}", data
        if settings.evidence:
            path = own / "evidence.npy"
            draw = partial(planes.write, path, settings.run, fold, data.table, config.unet.size)
            load = partial(np.load, path, mmap_mode="r", allow_pickle=False)
            seen = replace(data, evidence=first_process_first(draw if is_first_process() else load))
        train_phases(own, seen, fold, config, identity, start)
        from_each_process(True)  # the others may be reading still
        if is_first_process():
            provenance.tidy(own)
    if is_first_process() and settings.only is None:
        content = {"profile": settings.profile, "seed": seed, "config": asdict(config)}
        write_json(folder / "settings.json", content)
    if is_first_process():
        print(summary(folder, chosen, data, config))


if __name__ == "__main__":
    command.run(main)
