"""How batches reach the devices: held there whole, or streamed by a thread."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cnn.data import feeding, planes, training_images
from cnn.devices.mesh import all_devices, batch_sharding
from features.run.files import UserError


def test_both_feeds_give_each_row_of_the_order_to_the_devices(run, monkeypatch):
    data = training_images.read(run, 32, evidence=True, weak=True)
    evidence_planes = planes.write(run.root / "seen.npy", run, 0, data.table, 32)
    data, mesh = replace(data, evidence=evidence_planes), all_devices(4)
    order = np.random.default_rng(0).integers(0, 11, (7, 4), dtype=np.int32)
    for memory in (0, 1e9):
        monkeypatch.setattr(feeding, "device_memory", lambda mesh, memory=memory: memory)
        for evidence in (True, False):
            fed = list(feeding.feed(data, evidence, mesh).batches(order))
            for rows, (inputs, targets) in zip(order, fed, strict=True):
                assert_array_equal(inputs, data.inputs(rows, evidence))
                assert_array_equal(targets, data.masks[rows])
                assert inputs.sharding.is_equivalent_to(batch_sharding(mesh), 4)


def test_batches_are_made_ahead_but_not_far_and_their_errors_are_raised():
    made = []

    def make(item):
        made.append(item)
        if item == 5:
            raise UserError("five")
        return item

    stream = feeding.ahead(make, range(9))
    assert next(stream) == 0
    assert len(made) <= 1 + feeding.AHEAD
    assert [next(stream) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(UserError, match="five"):
        next(stream)
    stopped = feeding.ahead(make, range(9))
    next(stopped)
    stopped.close()  # ends, and the thread with it
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]
