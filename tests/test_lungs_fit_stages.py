"""The fit of the lung finder: its stages against oracles, and a small fit as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from features.lungs import cascade, fields, frames
from features.lungs_fit import fit, stages
from features.lungs_fit.cases import Case
from features.run.files import UserError
from tests.helpers.drawn_chest import drawn_chest


def test_cross_fit_is_ridge_regression_on_the_other_groups() -> None:
    rng = np.random.default_rng(2)
    x, groups = rng.normal(size=(30, 6)).astype(np.float32), np.arange(30) // 2
    y = (x @ rng.normal(size=(6, 2)) + rng.normal(size=(30, 2))).astype(np.float32)
    unseen, weights, bias = stages.cross_fit(x, y, groups, penalty=0.2)
    oracle = Ridge(alpha=0.2 * 30).fit(x, y)
    assert np.allclose(weights, oracle.coef_.T, atol=1e-4)
    assert np.allclose(bias, oracle.intercept_, atol=1e-4)
    centred, held_out = x - x.mean(axis=0), groups % 3 == 1
    part = Ridge(alpha=0.2 * (~held_out).sum(), fit_intercept=False)
    part.fit(centred[~held_out], y[~held_out] - y.mean(axis=0))
    assert np.allclose(
        unseen[held_out], part.predict(centred[held_out]) + y.mean(axis=0), atol=1e-4
    )


@given(st.lists(st.floats(-0.3, 0.3), min_size=10, max_size=10))
def test_a_pose_step_leads_to_its_goal(numbers: list[float]) -> None:
    base = np.array([0, 0, -0.8, -1.0, 0])
    pose, goal = base + numbers[:5], base + numbers[5:]
    reached = frames.move_pose(pose, stages.pose_step(pose, goal))
    assert np.allclose(reached, goal, atol=1e-9)


def test_a_fit_is_written_and_read_back(tmp_path: Path) -> None:
    pixels, right, left = drawn_chest()
    cases = [
        Case(str(n), np.roll(pixels, n, 1), np.roll(right, n, 1), np.roll(left, n, 1))
        for n in range(-6, 7, 2)
    ]
    chosen = fit.Settings(tmp_path, views=6, pair_codes=6, lung_codes=6, rounds=5)
    model = fit.fit(fit.make_views(cases, chosen), chosen)
    path = tmp_path / "model.npz"
    cascade.write_model(path, model)
    table = fit.scores(cases[:2], lambda p: fields.segment_with(cascade.load(path), p), "drawn")
    assert table.shape == (2, 3) and table.min() > 0.8


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"phantoms": 3}, "--phantoms is 3; give 10 or more, or 0 for none"),
        ({"views": 0}, "--views is 0, but must be at least 1"),
        ({"folds": 1}, "--folds is 1; give 2 or more, or 0"),
        ({"folds": -2}, "--folds is -2; give 2 or more, or 0"),
        ({"rounds": 0}, "--rounds is 0, but must be at least 1"),
        ({"pair_codes": 0}, "--pair-codes is 0, but must be at least 1"),
        ({"ridge": float("nan")}, "--ridge is nan, but must be above 0"),
    ],
)
def test_numbers_with_which_nothing_can_be_fitted_are_refused(
    tmp_path: Path, numbers: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        fit.main(fit.Settings(tmp_path, **numbers))


def test_a_fitted_model_is_kept_only_with_the_option_out(tmp_path: Path) -> None:
    shipped = cascade.MODEL.read_bytes()
    model = cascade.load()
    for out in (None, tmp_path / "model.npz"):
        read_back = fit.written(model, out)
        np.testing.assert_array_equal(read_back.pair_basis, model.pair_basis)
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]
    assert cascade.MODEL.read_bytes() == shipped
