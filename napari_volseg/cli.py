"""The command line over the application: ``napari-volseg [PATH]`` and its commands.

Exit codes: 0 done, 2 usage, 3 refused, 4 needs a decision that no flag gave.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from napari_volseg import __version__
from napari_volseg.core import (
    CHOICES,
    Answers,
    CancelledError,
    DecisionNeededError,
    Geometry,
    Progress,
    ProgressCallback,
    RefusedError,
    UsageError,
    VolsegError,
    Volume,
    in_words,
    no_progress,
)

if TYPE_CHECKING:
    from napari_volseg.app.batch import CaseDone

DONE, USAGE, REFUSED, UNDECIDED = 0, 2, 3, 4
INTERRUPTED = 130

#: Model that the demonstration runs.
DEMO_MODEL = "phantom-organs"
DEMO_SAMPLE = "torso-ct-dicom"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; refusals are one sentence on standard error."""
    arguments = _parse(list(sys.argv[1:] if argv is None else argv))
    if not sys.warnoptions:
        # Libraries warn of what is refused or told in a sentence of ours; python -W default shows their words.
        warnings.simplefilter("ignore")
    try:
        with _room_for(getattr(arguments, "input", None) or getattr(arguments, "path", None)) as room:
            arguments.room = room and Path(room)
            return arguments.run(arguments)
    except (CancelledError, KeyboardInterrupt):
        return _complain("cancelled: nothing was written", INTERRUPTED)
    except (VolsegError, MemoryError, OSError) as error:
        return _complain(*_sentence(error))


def _sentence(error: Exception) -> tuple[str, int]:
    """Return what to tell of an error, and the exit code that it has."""
    match error:
        case DecisionNeededError():
            choices = "; ".join(f"{name}: {meaning}" for name, meaning in error.choices.items())
            flag = f" Give --{error.keyword.replace('_', '-')}." if error.keyword else ""
            return f"{error}. Choices: {choices}.{flag}", UNDECIDED
        case UsageError():
            return str(error), USAGE
        case VolsegError():
            return str(error), REFUSED
        case MemoryError():
            cure = "close other programs or crop the image"
            return f"the memory of this machine does not suffice ({error}): {cure}", REFUSED
        case OSError():
            return f"{error.filename or 'a file'} can't be used: {error.strerror or error}", REFUSED
        case _:
            return f"unexpected {type(error).__name__}: {error}; nothing was written", REFUSED


def _room_for(path: Path | None) -> AbstractContextManager[str | None]:
    """Return a private folder in which an archive is unpacked while a command runs; nothing for other paths."""
    if path is None or path.suffix.lower() != ".zip":
        return nullcontext()
    return TemporaryDirectory(prefix="napari-volseg-", ignore_cleanup_errors=True)


def has_display() -> bool:
    """Whether a window can be opened: a reachable X or Wayland display on Linux, always elsewhere."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    if os.environ.get("WAYLAND_DISPLAY"):
        return True
    display = os.environ.get("DISPLAY", "")
    return _reaches(display) if display.startswith((":", "unix:")) else bool(display)


def _reaches(display: str) -> bool:
    """Whether a local X server listens at ``:N``: Qt would end the process where none does."""
    number = display.split(":", 1)[1].split(".")[0]
    for address in (f"/tmp/.X11-unix/X{number}", f"\0/tmp/.X11-unix/X{number}"):
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(address) == 0:
                return True
    return False


def _open_window(arguments: argparse.Namespace) -> int:
    path = arguments.path if arguments.path is None else _existing(arguments.path)
    if not has_display():
        raise UsageError("no display was found: start it in a desktop session, or use the command line (--help)")
    from napari_volseg.plugin import run_app

    return run_app(path)


def _info(arguments: argparse.Namespace) -> int:
    from napari_volseg.formats import choose, import_report, scan

    result = scan(_existing(arguments.path), _progress_bar(), answers=_answers(arguments), room=arguments.room)
    volumes = [_describe(found, import_report(found, result.refused)) for found in result.found]
    refused = [{"path": str(r.path), "code": r.code, "reason": r.reason} for r in result.refused]
    if arguments.json:
        print(json.dumps({"volumes": volumes, "refused": refused}, indent=2))
    elif volumes or len(refused) > 1:
        _print_info(volumes, refused)
    if not volumes:
        choose(result, arguments.path)  # raises the reason
    return DONE


def _describe(found: Any, report: Any) -> dict[str, Any]:
    geometry: Geometry = found.geometry
    return {
        "id": found.id,
        "format": found.format,
        "description": found.description,
        "modality": found.modality,
        "date": found.date,
        "shape": list(found.shape),
        "spacing": list(found.spacing),
        "calibrated": not found.uncalibrated,
        "axis_codes": None if _is_unoriented(found) else geometry.axis_codes,
        "affine": geometry.matrix.tolist(),
        "nifti_affine": geometry.to_ras_ijk().tolist(),
        "warnings": [asdict(finding) for finding in found.findings],
        "decisions": [asdict(decision) for decision in found.decisions],
        "report": report.as_dict(),
    }


def _is_unoriented(found: Any) -> bool:
    """Whether the letters of a found volume are still to be decided."""
    return any(decision.keyword == "orientation" for decision in found.decisions)


def _print_info(volumes: list[dict[str, Any]], refused: list[dict[str, str]]) -> None:
    for v in volumes:
        size = " × ".join(str(n) for n in v["shape"])
        step = " × ".join(f"{s:.4g}" for s in v["spacing"])
        letters = v["axis_codes"] or "orientation unknown"
        grid = f"{step} mm (z, y, x), {letters}" if v["calibrated"] else "no physical size known"
        print(f"{v['id']}  {v['modality']}  {v['description']}  {size} voxels, {grid}")
        for kind in ("decided", "left_out", "assumed", "repaired", "found"):
            for entry in v["report"][kind]:
                print(f"    {kind.replace('_', ' '):8}  {entry['severity']} {entry['code']}: {entry['message']}")
        for decision in v["decisions"]:
            flag = f"--{decision['keyword'].replace('_', '-')} {'|'.join(decision['choices'])}"
            print(f"    undecided {decision['code']}: {decision['question']} ({flag})")
    for r in refused:
        print(f"refused  {r['path']}: {r['reason']} ({r['code']})")


def _convert(arguments: argparse.Namespace) -> int:
    from napari_volseg.formats import open_volume, save_volume

    volume = open_volume(
        _existing(arguments.input),
        arguments.volume,
        progress=_progress_bar(),
        orientation=arguments.orientation,
        form=arguments.form,
        answers=_answers(arguments),
        room=arguments.room,
    )
    _tell_findings(volume)
    _say_saved(save_volume(arguments.output, volume))
    return DONE


def _segment(arguments: argparse.Namespace) -> int:
    if arguments.each:
        return _segment_each(arguments)
    from napari_volseg.app import headless

    headless.label_export(arguments.output)
    targets = [path for path in (arguments.output, arguments.report) if path is not None]
    if len({path.resolve() for path in targets}) < len(targets):
        raise UsageError(
            f"{arguments.output} can't hold both the labels and the report: give the report another name"
        )
    done = headless.segment_path(
        _existing(arguments.input),
        arguments.model,
        volume_id=arguments.volume,
        orientation=arguments.orientation,
        form=arguments.form,
        answers=_answers(arguments),
        time=arguments.time,
        device=arguments.device,
        backend=arguments.backend,
        further=[_existing(path) for path in arguments.further],
        channels=_channels(arguments),
        trusted=arguments.trust,
        postprocess=not arguments.no_postprocessing,
        skip_air=arguments.skip_air,
        targets=targets,
        room=arguments.room,
        progress=_progress_bar(),
    )
    _tell_findings(done.volume)
    for finding in done.findings:
        print(f"napari-volseg: {finding.severity}: {finding.message}", file=sys.stderr)
    _say_saved(headless.save_labels(arguments.output, done))
    if arguments.report:
        _say_saved(headless.save_run_report(arguments.report, done))
    return DONE


def _channels(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return the files that were given for channels by name."""
    if arguments.channel and arguments.further:
        raise UsageError("--channel names what --further counts: give one of them")
    given: dict[str, Path] = {}
    for text in arguments.channel:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise UsageError(f"--channel {text!r} is no NAME=IMAGE: write it like --channel FLAIR=flair.nii.gz")
        if name.lower() in map(str.lower, given):
            raise UsageError(f"--channel {name} is given twice: each channel is one image")
        given[name] = _existing(Path(path))
    return given


def _segment_each(arguments: argparse.Namespace) -> int:
    """Segment each case of a folder; the exit code is that of the first case that was refused."""
    from napari_volseg.app import batch, headless
    from napari_volseg.formats import open_volume
    from napari_volseg.inference import load_model

    if arguments.further or arguments.channel or arguments.volume:
        raise UsageError(
            "--further, --channel and --volume are of one case: leave them out, or segment the cases one by one"
        )
    headless.label_export(Path(f"labels{arguments.ending}"))
    cases = batch.find_cases(_existing(arguments.input), arguments.output, arguments.ending)
    model, told, code = load_model(arguments.model, trusted=arguments.trust), [], DONE
    with TemporaryDirectory(prefix="napari-volseg-", ignore_cleanup_errors=True) as room:

        def read(path: Path) -> Volume:
            volume = open_volume(
                path,
                orientation=arguments.orientation,
                form=arguments.form,
                answers=_answers(arguments),
                room=Path(room),
            )
            return headless.at_time(volume, arguments.time)

        options = {"device": arguments.device, "backend": arguments.backend, "progress": _progress_bar()}
        wishes = {"postprocess": not arguments.no_postprocessing, "skip_air": arguments.skip_air}
        try:
            for done in batch.segment_cases(cases, model, read, **wishes, **options):
                facts, own_code = _tell_case(done)
                told.append(facts)
                code = code or own_code
        except (CancelledError, KeyboardInterrupt):
            code = _complain("cancelled: what was saved by then stays", INTERRUPTED)
    segmented = sum("labels" in facts for facts in told)
    print(f"{segmented} of {len(cases)} cases were segmented")
    if arguments.report:
        _say_saved(headless.save_facts(arguments.report, {"cases": told}))
    return code


def _tell_case(done: CaseDone) -> tuple[dict[str, Any], int]:
    """Say how one of many cases went; return what a report holds of it, and its exit code."""
    from napari_volseg.app import headless

    name = done.case.source.name
    if done.segmented is None:
        sentence, code = _sentence(done.error) if done.error is not None else ("nothing was written", REFUSED)
        return {"case": name, "error": sentence}, _complain(f"{name}: {sentence}", code)
    read = done.segmented.volume.origin_provenance.findings
    for finding in (*(f for f in read if f.severity == "warning"), *done.segmented.findings):
        print(f"napari-volseg: {finding.severity}: {name}: {finding.message}", file=sys.stderr)
    _say_saved(done.case.target)
    return {"case": name, "labels": str(done.case.target), **headless.run_facts(done.segmented)}, DONE


def _models(arguments: argparse.Namespace) -> int:
    from napari_volseg.inference import available_models

    cards = available_models()
    if arguments.json:
        print(json.dumps([{**asdict(c), "postprocessing": c.postprocessing_words} for c in cards], indent=2))
        return DONE
    for card in cards:
        print(f"{card.id}  {card.title} {card.version}: {', '.join(s.name for s in card.segments)}")
        if card.intended_use:
            print(f"    {card.intended_use}")
        if card.postprocessing:
            print(f"    afterwards: {'; '.join(card.postprocessing_words)}")
    return DONE


def _fetch(arguments: argparse.Namespace) -> int:
    from napari_volseg.inference.fetching import Archive, fetch
    from napari_volseg.inference.tasks import RELEASES, find_task, weights_folder

    task, folder = find_task(arguments.name), arguments.into or weights_folder()
    missing = task.missing(folder)
    if missing and not arguments.accept_license:
        print(
            f"napari-volseg: the weights of {task.name} come under {task.weights_license}: "
            "say --accept-license where you accept that",
            file=sys.stderr,
        )
        return UNDECIDED
    for part in missing:
        if not part.release:
            raise RefusedError(f"{part.folder} needs {task.weights_license}: put it into {folder}", "model.absent")
        archive = Archive(part.url(arguments.releases or RELEASES), part.folder)
        _say_saved(fetch(archive, folder, _progress_bar()))
    print(f"The weights of {task.name} are in {folder}.")
    return DONE


def _demo(arguments: argparse.Namespace) -> int:
    from napari_volseg.app.samples import sample_path

    source = sample_path(DEMO_SAMPLE)
    if has_display():
        from napari_volseg.plugin import run_app

        return run_app(source)
    from napari_volseg.app import headless

    print(f"No display was found: doing the same job without a window, into {arguments.out}/")
    for path in headless.whole_job(source, DEMO_MODEL, arguments.out, _progress_bar()):
        _say_saved(path)
    return DONE


def _parse(argv: list[str]) -> argparse.Namespace:
    """Parse a command, or a bare path that is to be opened."""
    parser = _build_parser()
    known = parser.commands  # type: ignore[attr-defined]
    if not any(a in known or a in ("-h", "--help", "--version") for a in argv[:1]):
        argv = ["open", *argv]
    return parser.parse_args(argv)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="napari-volseg",
        usage="napari-volseg [PATH] | COMMAND ...",
        description="Open, segment, correct and export 3D medical images. Without a command, opens the app.",
        epilog="Exit codes: 0 done, 2 usage, 3 refused, 4 needs a decision that no flag gave.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", prog="napari-volseg")
    parser.commands = commands.choices  # type: ignore[attr-defined]

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("open", _open_window, "open the app").add_argument("path", nargs="?", type=Path)
    _add_info(add)
    _add_segment(add)
    models = add("models", _models, "list the automatic models")
    models.add_argument("--json", action="store_true", help="machine-readable")
    _add_fetch(add)
    demo = add("demo", _demo, "open the sample CT, or without a display do the whole job into a folder")
    demo.add_argument("--out", type=Path, default=Path("out"), metavar="FOLDER", help="default: %(default)s")
    return parser


Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def _add_info(add: Add) -> None:
    info = add("info", _info, "list the volumes in a file or folder")
    info.add_argument("path", type=Path)
    info.add_argument(
        "--json",
        action="store_true",
        help="machine-readable; shape, spacing and affine are for index (z, y, x) → LPS mm",
    )
    _add_dicom_choices(info)
    convert = add("convert", _convert, "write a volume on its source grid; OUT is .nii.gz, .nii, .nrrd, .mha or .mhd")
    convert.add_argument("input", type=Path)
    convert.add_argument("output", type=Path)
    _add_choices(convert)


def _add_fetch(add: Add) -> None:
    fetch = add("fetch", _fetch, "download the weights of a task of TotalSegmentator")
    fetch.add_argument("name", help="such as total-fast")
    fetch.add_argument(
        "--accept-license", action="store_true", help="accept the terms of the weights, which it tells"
    )
    fetch.add_argument("--into", type=Path, metavar="FOLDER", help="default: where TotalSegmentator keeps them")
    fetch.add_argument("--releases", metavar="URL", help="another server than that of its makers")


def _add_segment(add: Add) -> None:
    segment = add(
        "segment",
        _segment,
        "segment a volume; OUT is .nii.gz, .nii, .seg.nrrd, .mha, .mhd, .dcm, .rtstruct.dcm, .stl, .ply or .obj",
    )
    segment.add_argument("input", type=Path)
    segment.add_argument("output", type=Path)
    segment.add_argument(
        "--each",
        action="store_true",
        help="INPUT is a folder of cases (files, or folders of DICOM), OUT the folder for their labels; "
        "a case that is refused is told, and the others go on",
    )
    segment.add_argument(
        "--ending", default=".nii.gz", metavar="E", help="with --each the format, as OUT would end (%(default)s)"
    )
    segment.add_argument("--model", required=True, metavar="NAME_OR_FOLDER", help="see models")
    _add_choices(segment)
    segment.add_argument("--time", type=int, metavar="N", help="which volume of a 4D image, from 0")
    segment.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1, mps")
    segment.add_argument("--backend", default="auto", metavar="B", help="auto or torch")
    segment.add_argument(
        "--further",
        type=Path,
        action="append",
        default=[],
        metavar="IMAGE",
        help="the image of the model's next channel, on the same grid; once for each",
    )
    segment.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="NAME=IMAGE",
        help="the image of a channel of the model by its name; once for each but the one that IN is",
    )
    segment.add_argument(
        "--trust",
        action="store_true",
        help="let a TorchScript model run: a program that can do anything that you can, so know where it is from",
    )
    segment.add_argument(
        "--no-postprocessing", action="store_true", help="leave the labels as the network gave them (see models)"
    )
    segment.add_argument(
        "--skip-air", action="store_true", help="leave out windows outside of the body of a CT: faster, not exact"
    )
    segment.add_argument("--report", type=Path, metavar="R.json", help="how the model ran, as JSON")


def _add_choices(command: argparse.ArgumentParser) -> None:
    """Add a flag for each decision that an input may need."""
    command.add_argument("--volume", metavar="ID", help="which one, where there are several (see info)")
    command.add_argument(
        "--orientation",
        choices=("RAS", "LAS", "LPS"),
        help="towards where the voxel axes (i, j, k) run, for a file (NIfTI, Analyze, NRRD) that does not say",
    )
    command.add_argument(
        "--form", choices=("sform", "qform"), help="which one places a NIfTI file whose two contradict each other"
    )
    _add_dicom_choices(command)


def _add_dicom_choices(command: argparse.ArgumentParser) -> None:
    for keyword, choices in CHOICES.items():
        meanings = "; ".join(f"{choice}: {meaning}" for choice, meaning in choices.items())
        command.add_argument(f"--{keyword.replace('_', '-')}", choices=tuple(choices), help=f"DICOM. {meanings}")


def _answers(arguments: argparse.Namespace) -> Answers:
    return Answers(**{keyword: getattr(arguments, keyword) for keyword in CHOICES})


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UsageError(f"{path} does not exist: give a DICOM folder or an image file, or a command (see --help)")
    return path


def _progress_bar() -> ProgressCallback:
    """Return a bar on standard error, or nothing where it is not a terminal."""
    if not sys.stderr.isatty():
        return no_progress

    def show(progress: Progress) -> None:
        filled = "█" * round(30 * progress.fraction)
        end = "\n" if progress.total and progress.done >= progress.total else ""
        left = f" {in_words(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        bar = f"\r{progress.message[:40]:40} {filled:30} {progress.fraction:4.0%}{left:12}"
        print(bar, end=end, file=sys.stderr, flush=True)

    return show


def _tell_findings(volume: Volume) -> None:
    """Say what was repaired or assumed on reading, as the window does; notes are left to ``info``."""
    for finding in volume.origin_provenance.findings:
        if finding.severity == "warning":
            print(f"napari-volseg: warning: {finding.message}", file=sys.stderr)


def _say_saved(path: Path) -> None:
    print(f"saved {path}")


def _complain(sentence: str, code: int) -> int:
    print(f"napari-volseg: {sentence}", file=sys.stderr)
    return code
