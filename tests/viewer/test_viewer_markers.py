from napari_volseg.core import Box, PointPrompt
from napari_volseg.editing import Author, PromptChange


def test_markers_are_drawn_only_where_one_lies_on_the_shown_slice(app, viewer, binding) -> None:
    here = (5, 9, 12)
    x, y, z = (float(c) for c in app.case.volume.geometry.to_patient(here))
    nothing = Box((0, 0, 0), (0, 0, 0))
    app.case.session.replace(
        nothing,
        app.case.segmentation.labels[nothing.slices],
        name="Click",
        author=Author("hand", "user"),
        prompts=PromptChange((), (PointPrompt((x, y, z)),)),
    )
    viewer.dims.set_current_step(range(3), here)
    assert len(binding.prompts.data) == 1
    assert binding.prompts.opacity == 1
    viewer.dims.set_current_step(0, here[0] + 1)
    assert binding.prompts.opacity == 0
    app.view.plane = "coronal"
    assert binding.prompts.opacity == 1
    viewer.dims.set_current_step(1, here[1] + 2)
    assert binding.prompts.opacity == 0
