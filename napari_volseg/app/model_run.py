"""A run of the chosen model on the open case: its result, and what its card asks for, as steps of the history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_volseg.app.case import Case
from napari_volseg.app.channels import choices_of, load_channels
from napari_volseg.app.correcting import AXES
from napari_volseg.app.jobs import Job
from napari_volseg.app.postprocessing import corrections, plan_correction
from napari_volseg.app.segmenting import Outcome, plan_prediction, predict
from napari_volseg.core import Box, CancelToken, ModelCard, ProgressCallback, SegmentTable
from napari_volseg.editing import Plan
from napari_volseg.inference import Band

if TYPE_CHECKING:
    from napari_volseg.app.application import Application


def run_model(app: Application) -> Job:
    """Run the chosen model in the background; see `Application.run_model`."""
    case, model, device, wanted = app.need_case(), app.tools.model, app.tools.device, app.tools.postprocess
    trusted, choices, look_at = app.models.trusted, choices_of(app), _shown_slice(app, case)

    def work(progress: ProgressCallback, cancel: CancelToken) -> Outcome:
        def bands(card: ModelCard, band: Band) -> None:
            app.live.take(case, cancel, SegmentTable(card.segments), band)

        images, told = load_channels(choices, case.volume, progress, cancel)
        first, *further = images or [case.volume]
        card, prediction = predict(
            first,
            model,
            further=further,
            trusted=trusted,
            device=device,
            progress=progress,
            cancel=cancel,
            bands=bands,
            look_at=look_at,
        )
        steps = corrections(card, prediction, case.volume.geometry, cancel) if wanted else ()
        return replace(plan_prediction(case.session, card, prediction, steps), findings=tuple(told))

    return app.jobs.submit(
        f"Segmenting with {model}", work, lambda outcome: _take(app, case, outcome), lane="network"
    )


def _shown_slice(app: Application, case: Case) -> Box | None:
    """Return the voxels of the slice that is looked at; None in 3D."""
    if app.view.three_d:
        return None
    shape = case.volume.geometry.shape
    axis = AXES[app.view.plane]
    index = (app.view.index or [n // 2 for n in shape])[axis]
    start, stop = [0, 0, 0], list(shape)
    start[axis], stop[axis] = index, index + 1
    return Box.of(start, stop)


def _take(app: Application, case: Case, outcome: Outcome) -> None:
    """Make a model's step; where the labels changed meanwhile, join it with them anew in the background."""
    if case is not app.case:
        return
    if outcome.plan is not None and outcome.plan.revision != case.session.revision:

        def again(progress: ProgressCallback, cancel: CancelToken) -> Outcome:
            return plan_prediction(case.session, outcome.card, outcome.prediction, outcome.corrections)

        app.jobs.submit("Joining with your changes", again, lambda new: _take(app, case, new), lane="network")
        return
    if outcome.plan is not None:
        case.session.commit(outcome.plan)
    _correct(app, case, outcome, 0)


def _correct(app: Application, case: Case, outcome: Outcome, number: int) -> None:
    """Go on with a step of the card, or tell that the run is over."""
    steps = outcome.corrections
    if number == len(steps):
        _tell(app, outcome)
        return

    def work(progress: ProgressCallback, cancel: CancelToken) -> Plan | None:
        return plan_correction(case.session, outcome.card, steps[number], outcome.values)

    def take(plan: Plan | None) -> None:
        if case is not app.case:
            return
        if plan is not None and plan.revision != case.session.revision:
            _correct(app, case, outcome, number)
            return
        if plan is not None:
            case.session.commit(plan)
        _correct(app, case, outcome, number + 1)

    words = steps[number].words
    app.jobs.submit(words[:1].upper() + words[1:], work, take)


def _tell(app: Application, outcome: Outcome) -> None:
    report, steps = outcome.prediction.report, outcome.corrections
    told = "".join(f"; {finding.message}" for finding in report.findings)
    if changed := sum(step.where.size > 0 for step in steps):
        told += f"; its card corrected the labels in {changed} {'step' if changed == 1 else 'steps'} of the history"
    app.notice(f"{outcome.card.title} finished in {report.seconds.total:.1f} s on {report.device}{told}")
    app.warn(finding for step in steps for finding in step.findings)
    for finding in outcome.findings:
        app.notice(finding.message)
