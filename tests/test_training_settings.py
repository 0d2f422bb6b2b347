"""Settings of a training: what is refused, and what follows from them."""

import shutil
from dataclasses import replace

import pytest
from distributed import LocalCluster

from cnn.data import training_images
from cnn.devices.cluster import Cluster
from cnn.network.config import FEW_LESIONS, PROFILES
from cnn.training import settings as training_settings
from cnn.training import train
from cnn.training.settings import configured
from features.run.files import UserError
from tests.helpers.tiny_run import TINY, weights_bytes


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "--epochs is 0, but must be at least 1"),
        ({"steps": 0}, "--steps is 0, but must be at least 1"),
        ({"patience": -1}, "--patience is -1, but must be at least 0"),
        ({"first_epochs": -1}, "--first-epochs is -1, but must be at least 0"),
        ({"batch": 3, "accumulate": 2}, "a batch of 3 images cannot be shared .* in 2 parts"),
        ({"seed": -1}, "--seed is -1, but"),
        ({"only": 3}, "--only is 3, but the folds are 0 to 2"),
        ({"weak_share": 1.0}, r"--weak-share is 1\.0, but must be from 0 to below 1"),
        ({"rate": 0.0}, r"--rate is 0\.0, but must lie between 0 and 1"),
        ({"accelerator": True}, "--accelerator: JAX sees processors only"),
        ({"init": "gone/fold{fold}"}, "gone/fold0: no such file of pretrained weights"),
        ({"init": "."}, r"^\.: no such file of pretrained weights"),
        ({"cluster": Cluster("nonsense")}, "coordinator nonsense: must be host:port"),
        ({"cluster": Cluster(":1")}, "coordinator :1: must be host:port"),
        ({"cluster": Cluster("x:65536")}, "x:65536: .* the port from 1 to 65535"),
        ({"cluster": Cluster(processes=2)}, "give --cluster.coordinator"),
        ({"cluster": Cluster("x:1", 2, 2)}, "--cluster.process is 2, but .* from 0 to 1"),
    ],
)
def test_impossible_settings_are_refused(run, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run.root, "demo", **settings))


def test_a_run_keeps_its_precision_on_another_device(run, tiny, monkeypatch):
    settings = train.Settings(run.root, "demo", epochs=1, steps=1, evidence=False)
    train.main(replace(settings, precision="bfloat16"))
    kept = [weights_bytes(run, fold) for fold in range(3)]
    assert configured(settings, 9).bfloat16
    train.main(replace(settings, overwrite=True))  # on a processor, where float32 is the rule
    assert [weights_bytes(run, fold) for fold in range(3)] == kept
    assert not configured(replace(settings, precision="float32"), 9).bfloat16
    monkeypatch.setattr(training_settings, "accelerated", lambda: True)
    shutil.rmtree(run.unet)
    assert configured(settings, 9).bfloat16


def test_folds_on_a_cluster_exclude_one_training_by_several_processes(run):
    both = train.Settings(run.root, scheduler="tcp://x:1", cluster=Cluster("x:2", 2, 0))
    with pytest.raises(UserError, match=r"each machine trains a fold, .*; give one of them"):
        configured(both, 9)


def test_folds_trained_on_a_cluster_are_those_trained_alone(run, tiny):
    settings = train.Settings(run.root, "demo", epochs=1, steps=2, evidence=False)
    train.main(settings)
    alone = [weights_bytes(run, fold) for fold in range(3)]
    shutil.rmtree(run.unet)
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster:
        train.main(replace(settings, scheduler=cluster.scheduler_address))
    assert [weights_bytes(run, fold) for fold in range(3)] == alone
    assert run.unet_settings.exists()


def test_the_learning_rate_may_be_set(run, tiny):
    config = configured(train.Settings(run.root, "demo", rate=0.5), 9)
    assert config == replace(TINY, learning_rate=0.5)


def test_few_lesions_are_seen_beside_the_evidence_map_for_a_short_time(run):
    assert training_images.count_lesions(run, weak=False) == 3
    assert training_images.count_lesions(run, weak=True) == 4
    lite = train.Settings(run.root, "lite")
    few, many = configured(lite, FEW_LESIONS - 1), configured(lite, FEW_LESIONS)
    assert few.first_epochs > 10 * few.epochs and not few.weak_share
    assert not many.first_epochs and many.epochs > 10 * few.epochs and many.weak_share
    assert configured(replace(lite, evidence=False), FEW_LESIONS).first_epochs == few.first_epochs
    # What the user gives counts, whatever the number of lesions.
    assert configured(replace(lite, epochs=7, weak_share=0.5), 3) == replace(
        few, epochs=7, weak_share=0.5
    )
    assert configured(train.Settings(run.root, "demo"), 3) == PROFILES["demo"]
