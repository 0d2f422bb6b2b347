"""Train one U-Net a fold: ``python -m cnn.training.train --run RUN --profile demo|lite|full``.

Folds that are finished are left alone, and one that was interrupted goes on, see
`cnn.training.train_fold`. Settings and data of all folds are checked before any is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from cnn.data import planes, training_images
from cnn.data.batches import EpochPlan, training_order
from cnn.data.training_images import TrainingImages
from cnn.devices.cluster import first_process_first, from_each_process, is_first_process
from cnn.devices.compilation import keep_compiled
from cnn.devices.mesh import all_devices, require_device, split_processor
from cnn.network.config import TrainConfig
from cnn.training.history import summary
from cnn.training.phases import left_out, phases
from cnn.training.settings import Settings, configured
from cnn.training.train_fold import train_fold
from cnn.weights.identity import Identity, identify, is_finished, tidy
from cnn.weights.initial_weights import initial_weights
from cnn.weights.pretrained import pretrained_for
from features.run import command, parallel
from features.run.files import UserError, write_record
from features.run.folder import RunFolder, measured


@dataclass(frozen=True)
class UsedSettings:
    """What the networks of a run were trained with.

    Parameters
    ----------
    profile : str
    seed : int
    config : TrainConfig
    """

    profile: str
    seed: int
    config: TrainConfig


def main(settings: Settings) -> None:
    """Train the folds that are not finished, then write the settings: the mark that all are."""
    run = RunFolder(settings.run).check()
    if settings.cluster.coordinator is None:
        split_processor()
    settings.cluster.join()
    require_device(settings.accelerator)
    count = partial(training_images.count_lesions, run, weak=settings.weak_share != 0)
    lesions = first_process_first(count)
    config = configured(settings, lesions)
    weak = config.weak_share > 0
    images = first_process_first(
        lambda: training_images.read(run, config.unet.size, settings.evidence, weak)
    )
    keep_compiled(run.unet)
    all_devices(config.batch, config.accumulate)  # errors come before any training
    folds = chosen_folds(settings.only, images.fold_count)
    unfinished = _unfinished(run, folds, images, config, settings)
    if unfinished and is_first_process():
        run.unet_settings.unlink(missing_ok=True)  # no mark that all are of one training
    if settings.scheduler and unfinished:
        # The workers compute as this process would, whatever devices they have.
        precision: Literal["bfloat16", "float32"] = "bfloat16" if config.bfloat16 else "float32"
        _train_on_cluster(list(unfinished), replace(settings, precision=precision))
        unfinished.clear()
    for fold, (identity, pretrained) in unfinished.items():
        folder = run.unet_fold(fold)
        seen_by_fold = _with_evidence(images, run, fold, config) if settings.evidence else images
        train_fold(folder, seen_by_fold, identity, pretrained)
        from_each_process(True)  # the others may be reading still
        if is_first_process():
            tidy(folder)
    if is_first_process() and settings.only is None:
        write_record(run.unet_settings, UsedSettings(settings.profile, settings.seed, config))
    if is_first_process():
        print(summary(run, folds, images, config))


def _train_on_cluster(folds: list[int], settings: Settings) -> None:
    """Have each worker of a cluster train the network of a fold, as ``--only`` does."""
    work = partial(_train_one, settings=replace(settings, scheduler=None))
    what = "training the networks"
    for _ in parallel.stream(work, folds, what, scheduler=settings.scheduler, unit="folds"):
        pass


def _train_one(fold: int, settings: Settings) -> None:
    main(replace(settings, only=fold))


def chosen_folds(only: int | None, count: int) -> list[int]:
    """The folds to train, of so many.

    Raises
    ------
    UserError
        If `only` is none of them.
    """
    if only is not None and not 0 <= only < count:
        raise UserError(
            f"--only is {only}, but the folds are 0 to {count - 1}; give one of them, or leave it "
            "out to train all."
        )
    return list(range(count)) if only is None else [only]


def _unfinished(
    run: RunFolder,
    folds: Sequence[int],
    images: TrainingImages,
    config: TrainConfig,
    settings: Settings,
) -> dict[int, tuple[Identity, Path | None]]:
    """Identity and pretrained weights of each fold that is still to be trained, all checked."""
    table = measured(run.images())
    test_ids = table["id"][table["fold"].isna()].tolist()
    unfinished = {}
    for fold in folds:
        folder = run.unet_fold(fold)
        pretrained = pretrained_for(settings.init, fold, config)
        identity = identify(config, settings.seed, fold, images, pretrained)
        if not first_process_first(partial(is_finished, folder, identity, settings.overwrite)):
            # Called for their errors alone, so that these come before any training.
            without = left_out(fold, images, config)
            training_order(images, without, EpochPlan(1, 1, 1.0), (settings.seed,))
            first = phases(config)[0].config
            initial_weights(first, settings.seed, fold, images, pretrained, test_ids)
            unfinished[fold] = identity, pretrained
        elif is_first_process():
            tidy(folder)
    return unfinished


def _with_evidence(
    images: TrainingImages, run: RunFolder, fold: int, config: TrainConfig
) -> TrainingImages:
    """The images with the evidence map as the fold's network sees it."""
    path = run.unet_fold(fold).planes
    write = partial(planes.write, path, run, fold, images.table, config.unet.size)
    load = partial(np.load, path, mmap_mode="r", allow_pickle=False)
    return replace(images, evidence=first_process_first(write if is_first_process() else load))


if __name__ == "__main__":
    command.run(main)
