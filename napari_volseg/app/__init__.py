"""The application without Qt: the open case, commands, jobs, exports and samples."""

from napari_volseg.app.application import Application, Notice
from napari_volseg.app.case import Case
from napari_volseg.app.clicks import Clicks
from napari_volseg.app.command import Command
from napari_volseg.app.commands import COMMANDS, run_command
from napari_volseg.app.engines import EngineShelf, terms_of
from napari_volseg.app.exporting import EXPORTS, ExportKind, suggest_path
from napari_volseg.app.figures import SegmentFigures
from napari_volseg.app.hand_tools import HAND_TOOLS
from napari_volseg.app.history_list import HistoryRow, HistoryRows, go_to_step
from napari_volseg.app.jobs import Inbox, Job, JobRunner, error_sentence
from napari_volseg.app.model_places import ModelPlaces
from napari_volseg.app.opening import Question
from napari_volseg.app.painting import Painter
from napari_volseg.app.samples import SAMPLES, sample_path
from napari_volseg.app.scan_store import ScanStore
from napari_volseg.app.sessions import SessionStore
from napari_volseg.app.shelf import ModelShelf, ShelvedModel
from napari_volseg.app.sniff import looks_medical
from napari_volseg.app.tool_table import SEGMENT_TOOLS
from napari_volseg.app.tool_types import SegmentTool
from napari_volseg.app.wishes import DISTANCE_LIMITS, RADIUS_LIMITS, ToolWishes, ViewWishes

__all__ = [
    "COMMANDS",
    "DISTANCE_LIMITS",
    "EXPORTS",
    "HAND_TOOLS",
    "RADIUS_LIMITS",
    "SAMPLES",
    "SEGMENT_TOOLS",
    "Application",
    "Case",
    "Clicks",
    "Command",
    "EngineShelf",
    "ExportKind",
    "HistoryRow",
    "HistoryRows",
    "Inbox",
    "Job",
    "JobRunner",
    "ModelPlaces",
    "ModelShelf",
    "Notice",
    "Painter",
    "Question",
    "ScanStore",
    "SegmentFigures",
    "SegmentTool",
    "SessionStore",
    "ShelvedModel",
    "ToolWishes",
    "ViewWishes",
    "error_sentence",
    "go_to_step",
    "looks_medical",
    "run_command",
    "sample_path",
    "suggest_path",
    "terms_of",
]
