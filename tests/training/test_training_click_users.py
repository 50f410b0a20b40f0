"""Simulated users: where they click, what they draw, and what is measured of them."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from napari_volseg.core import BoxMask, BoxPrompt, Geometry, PointPrompt, ScribblePrompt, UsageError, Volume
from napari_volseg.interactive import prompt_voxels
from napari_volseg.interactive.seeds import seeds_of
from napari_volseg.training.click_baselines import BASELINES, load_baseline
from napari_volseg.training.click_report import confidence, report, table, write_plot
from napari_volseg.training.click_runs import ClickRun, obeys, run_clicks, surface_score
from napari_volseg.training.click_users import beginning_with, first_box, first_scribble, largest_slice, sloppy_click

SHAPE = (12, 40, 30)
GEOMETRY = Geometry.from_spacing(SHAPE, (4.0, 1.5, 1.5), (7.0, -20.0, 100.0))


@pytest.fixture
def bean():
    """A structure bent like a bean: its middle is outside of it."""
    y, x = np.mgrid[:40, :30]
    ring = (np.hypot(y - 20, x - 18) < 13) & (np.hypot(y - 20, x - 18) > 7) & (x < 18)
    mask = np.zeros(SHAPE, bool)
    mask[3:9] = ring
    mask[6, 20, 2:4] = True
    return mask


def voxel_of(click):
    return tuple(np.round(GEOMETRY.to_index(click.position)).astype(int).tolist())


def test_a_sloppy_user_misses_by_two_voxels_and_is_right_about_where_it_landed(bean):
    empty = np.zeros(SHAPE, bool)
    clicks = [sloppy_click(empty, bean, GEOMETRY, np.random.default_rng(seed)) for seed in range(60)]
    at = np.asarray([voxel_of(click) for click in clicks])
    assert all(click.positive == bean[voxel_of(click)] for click in clicks)
    near = np.abs(at[:, None] - np.argwhere(bean)[None]).max(-1).min(1)
    assert near.max() <= 2
    assert len({tuple(a) for a in at}) > 30
    assert not all(click.positive for click in clicks)
    assert sloppy_click(bean, bean, GEOMETRY, np.random.default_rng(0)) is None


def test_a_first_stroke_follows_the_structure_and_stays_inside(bean):
    stroke = first_scribble(bean, GEOMETRY)
    voxels = prompt_voxels(stroke, GEOMETRY)
    assert bean[tuple(voxels.T)].all()
    assert np.unique(voxels[:, 0]).tolist() == [6]
    assert np.ptp(voxels[:, 1]) > 15
    steps = np.linalg.norm(np.diff(np.asarray(stroke.positions), axis=0), axis=1)
    assert steps.max() <= 1.5 * np.sqrt(2) + 1e-9


def test_the_largest_slice_lies_across_the_widest_spacing(bean):
    assert largest_slice(bean, GEOMETRY) == (0, 6)


def test_a_first_box_holds_the_structure_on_its_slice_and_not_much_more(bean):
    box = first_box(bean, GEOMETRY, np.random.default_rng(3))
    covered = np.zeros(SHAPE, bool)
    covered[tuple(prompt_voxels(box, GEOMETRY).T)] = True
    assert not covered[[5, 7]].any()
    assert covered[6][bean[6]].all()
    rows, columns = np.nonzero(bean[6])
    assert covered.sum() <= (np.ptp(rows) + 4) * (np.ptp(columns) + 4)


def test_a_box_decides_its_frame_and_its_middle(bean):
    box = first_box(bean, GEOMETRY, np.random.default_rng(3))
    seeds = seeds_of([box], GEOMETRY)
    inside = prompt_voxels(box, GEOMETRY)
    assert len(seeds.positive) == 1
    assert (np.abs(seeds.positive[0] - inside.mean(0)) <= 1).all()
    assert np.unique(seeds.negative[:, 0]).tolist() == [6]
    low, high = inside.min(0)[1:] - 1, inside.max(0)[1:] + 1
    on_frame = ((seeds.negative[:, 1:] == low) | (seeds.negative[:, 1:] == high)).any(1)
    assert on_frame.all()


class Told:
    """An engine that gives prepared answers."""

    def __init__(self, answers):
        self.answers = answers

    def open(self, volume):
        self.prompts, self.left = [], list(self.answers)
        return self

    def add(self, prompt):
        self.prompts.append(prompt)

    def result(self):
        return BoxMask.of(self.left.pop(0))


def test_a_run_notes_every_prompt_and_goes_on_until_the_goal(bean):
    half = bean.copy()
    half[6:] = False
    volume = Volume(np.zeros(SHAPE, np.int16), GEOMETRY)
    run = run_clicks(Told([half, half, half, bean, bean]), volume, bean, 2, limit=9, user=beginning_with("click"))
    assert len(run.dsc) == 4
    assert run.dsc[0] == pytest.approx(2 / 3, abs=0.01)
    assert run.prompts_to(0.85) == 4
    assert run.after(2) == run.dsc[1]
    assert run.after(9) == 1
    # The simulated user clicks into what is missing, so only the last answer holds every click.
    assert run.honoured == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("first", "kind"), [("box", BoxPrompt), ("scribble", ScribblePrompt), ("click", PointPrompt)]
)
def test_a_user_begins_with_what_was_asked_and_goes_on_clicking(bean, first, kind):
    user = beginning_with(first)
    random = np.random.default_rng(0)
    assert isinstance(user(np.zeros(SHAPE, bool), bean, GEOMETRY, random), kind)
    assert isinstance(user(np.roll(bean, 3, 1), bean, GEOMETRY, random), PointPrompt)
    assert user(bean, bean, GEOMETRY, random) is None


def test_prompts_are_obeyed_only_if_all_of_a_stroke_is_inside(bean):
    stroke = first_scribble(bean, GEOMETRY)
    assert obeys(bean, [stroke], GEOMETRY)
    bitten = bean.copy()
    bitten[tuple(prompt_voxels(stroke, GEOMETRY)[-1])] = False
    assert not obeys(bitten, [stroke], GEOMETRY)


def test_surfaces_do_not_count_where_masks_hardly_overlap(bean):
    assert surface_score(bean, bean, GEOMETRY, 1.0) == 1
    assert surface_score(bean, bean, GEOMETRY, 0.2) == 0
    assert 0 < surface_score(np.roll(bean, 2, 1), bean, GEOMETRY, 0.8) < 1


def test_figures_of_a_report():
    first = ClickRun(1, "a", 9, (0.5, 0.6, 0.7, 0.8, 0.9), (0.1,) * 5, 1.0, 0.5, limit=20)
    second = ClickRun(2, "b", 9, (0.1, 0.1, 0.1, 0.1, 0.1), (0.1,) * 5, 1.0, 0.1, limit=20)
    figures = report("e", [first, second], 5)
    assert first.auc == pytest.approx(2.8)
    assert figures["macro"]["auc"] == pytest.approx((2.8 + 0.4) / 2)
    assert figures["macro"]["nsd"] == pytest.approx(0.3)
    assert figures["macro"]["noc"]["80"] == {"mean": 12.0, "failures": 0.5, "limit": 20}
    assert figures["macro"]["dsc_low"]["5"] == pytest.approx(0.1)
    assert figures["macro"]["dsc_high"]["5"] == pytest.approx(0.9)


def test_users_of_one_structure_count_as_one():
    runs = [ClickRun(v, "a", 9, (d,), (0.1,), 1.0) for v, d in ((1, 0.2), (1, 0.4), (2, 0.9))]
    figures = report("e", runs, 1)
    assert figures["macro"]["dsc"]["1"] == pytest.approx(0.6)


def test_an_interval_holds_the_mean_and_shrinks_with_more_structures():
    random = np.random.default_rng(0)
    low, high = confidence(random.uniform(size=(10, 1)))
    low_many, high_many = confidence(random.uniform(size=(400, 1)))
    assert low[0] < 0.5 < high[0]
    assert high_many[0] - low_many[0] < (high[0] - low[0]) / 3


def test_table_and_plot_name_every_row(tmp_path):
    runs = [ClickRun(1, "a", 9, tuple(np.linspace(0.3, 0.9, 10)), (0.1,) * 10, 1.0, 0.5)]
    reports = {"regions, click": report("regions", runs, 10), "a < b": report("x", runs, 10)}
    lines = table(reports).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "0.30 (0.30–0.30)" in lines[2]
    write_plot(tmp_path / "p.svg", reports)
    texts = [e.text for e in ElementTree.parse(tmp_path / "p.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "a < b" in texts


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_find_a_bright_ball_and_obey(name):
    if name == "fast-growcut":
        pytest.importorskip("itk", reason="itk-growcut is not installed")
    geometry = Geometry.from_spacing((24, 24, 24), (3.0, 3.0, 3.0))
    z, y, x = np.mgrid[:24, :24, :24]
    ball = (z - 12) ** 2 + (y - 11) ** 2 + (x - 13) ** 2 < 36
    voxels = np.where(ball, 100, -50) + np.random.default_rng(0).normal(0, 5, ball.shape)
    volume = Volume(voxels.astype(np.float32), geometry, "CT", "HU")
    run = run_clicks(load_baseline(name), volume, ball, 4)
    assert run.dsc[-1] > 0.8
    assert run.honoured == 1


def test_an_unknown_baseline_is_refused():
    with pytest.raises(UsageError, match="choose one of"):
        load_baseline("magic")
