"""Surfaces are exported by the name that the user gives the file."""

from __future__ import annotations

import pytest
from tool_case import chiral_labels, labels, make_app

from napari_volseg.app import suggest_path


@pytest.fixture
def app():
    application = make_app()
    labels(application)[...] = chiral_labels()
    yield application
    application.close()


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("a.stl", {"a.stl"}),
        ("a.PLY", {"a.PLY"}),
        ("a.obj", {"a.mtl", "a.obj"}),
        ("a", {"a.stl"}),
        ("a.nii", {"a.nii.stl"}),
    ],
)
def test_the_ending_chooses_the_format(app, tmp_path, name, made) -> None:
    app.jobs.wait(app.export("surfaces", tmp_path / name))
    assert {path.name for path in tmp_path.iterdir()} == made


def test_a_name_is_suggested(app) -> None:
    assert suggest_path("surfaces", app.case.volume).name.endswith("_surfaces.stl")
