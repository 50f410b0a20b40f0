"""Train the network that answers clicks, on volumes that are made as they are needed.

::

    python -m napari_volseg.training.train_clicks --out FOLDER --minutes 10

Writes ``weights.safetensors`` (the running mean of the weights, float16) with its ``card.json``, which
``evaluate_clicks --engine FOLDER`` measures, ``training.json``, and a state in shards of at most 16 MiB from which
``--resume FOLDER`` goes on. It stops by the clock. With a CUDA device it computes in
bfloat16 and compiles the network.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_volseg.interactive.click_weights import write_click_weights

if TYPE_CHECKING:
    from torch import Tensor

    from napari_volseg.training.click_targets import Pool
    from napari_volseg.training.click_training import Training

#: Seed of the volumes that are only validated on.
VALIDATION_SEED = 900_001
_SAVE_EVERY = 60.0
_TELL_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the training.

    Parameters
    ----------
    until
        Share of the time at which it ends.
    edge
        Edge of the crops, voxels.
    batch
        Samples a step.
    """

    until: float
    edge: int
    batch: int


PHASES = (Phase(0.6, 64, 64), Phase(1.0, 96, 24))


def parse_phases(text: str) -> tuple[Phase, ...]:
    """Return phases from ``"0.6:64:64,1:96:24"`` (until, edge, batch)."""
    parts = [part.split(":") for part in text.split(",")]
    return tuple(Phase(float(until), int(edge), int(batch)) for until, edge, batch in parts)


class Run:
    """One call of the trainer: the clock, what is told, what is saved.

    Parameters
    ----------
    training
        The network on its way.
    pool
        Volumes.
    out
        Folder.
    seconds
        Time to learn in this call, from ``begin`` on.
    begin
        :func:`time.monotonic` at the start.
    """

    def __init__(self, training: Training, pool: Pool, out: Path, seconds: float, begin: float) -> None:
        self.training, self.pool, self.out, self.seconds, self.begin = training, pool, out, seconds, begin
        self.history: list[dict[str, Any]] = []
        self._seen: list[Tensor] = []
        self._told = self._saved = time.monotonic()
        self._told_samples = training.samples

    def share(self) -> float:
        """Return which share of the time is over."""
        return (time.monotonic() - self.begin) / self.seconds

    def learn(self, phase: Phase) -> None:
        """Learn until the phase ends, for one step at least."""
        from napari_volseg.training.click_training import Desk

        recipe = self.training.recipe
        self._seen.clear()
        desk = Desk(self.pool, phase.edge, phase.batch, recipe.groups, seed=self.training.steps + phase.edge)
        first = self.training.steps
        while self.share() < phase.until or self.training.steps == first:
            if self.training.steps % recipe.every == 0:
                self.pool.refresh(recipe.fresh)
            ages = list(desk.ages)
            self._seen.append(self.training.step(desk, self.share()))
            if len(self._seen) % 20 == 0:
                self._report(phase, ages)

    def _report(self, phase: Phase, ages: Sequence[int]) -> None:
        """Wait for the device, tell how it goes where that is due, and save where that is due."""
        import torch

        now = time.monotonic()
        if now - self._told > _TELL_EVERY:
            latest = torch.stack(self._seen).float()
            loss = float(latest[:, -1].mean())
            by_group = latest[-20:, :-1].view(-1, len(ages), phase.batch // len(ages)).mean((0, 2)).tolist()
            rate = (self.training.samples - self._told_samples) / (time.monotonic() - self._told)
            line = {
                "seconds": round(now - self.begin, 1),
                "steps": self.training.steps,
                "samples": self.training.samples,
                "edge": phase.edge,
                "samples_per_second": round(rate, 1),
                "loss": round(loss, 4),
                "dice": round(sum(by_group) / len(by_group), 3),
            }
            self.history.append(line)
            print(json.dumps(line), flush=True)
            self._told, self._told_samples = time.monotonic(), self.training.samples
            self._seen.clear()
        elif self.training.device != "cpu":
            torch.cuda.synchronize()
        if now - self._saved > _SAVE_EVERY:
            save_weights(self.training, self.out)
            self._saved = time.monotonic()


def save_weights(training: Training, out: Path) -> None:
    """Write the running mean of the weights as ``weights.safetensors``, float16, and put it in its place at once."""
    from safetensors.torch import save_file

    names = [name for name, _ in training.network.named_parameters()]
    tensors = {n: t.detach().half().contiguous().cpu() for n, t in zip(names, training.mean, strict=True)}
    part = out / "weights.safetensors.part"
    save_file(tensors, part)
    part.replace(out / "weights.safetensors")


def write_card(out: Path, facts: Mapping[str, Any]) -> None:
    """Write the card of the weights in ``out``, without the history of their training."""
    training = {name: value for name, value in facts.items() if name != "history"}
    card = {"size": facts["recipe"]["size"], "training": training}
    write_click_weights(out, (out / "weights.safetensors").read_bytes(), card)


def save_state(training: Training, out: Path) -> None:
    """Write what another call needs to go on: weights in float32, both moments of the optimizer in bfloat16."""
    import torch
    from safetensors.torch import save_file

    groups: dict[str, dict[str, Tensor]] = {"weights-a": {}, "weights-b": {}, "first": {}, "second": {}}
    for index, (name, parameter) in enumerate(training.network.named_parameters()):
        half = "weights-a" if index % 2 else "weights-b"
        groups[half][name] = parameter.detach().contiguous().cpu()
        moments = training.optimizer.state.get(parameter, {})
        for key, group in (("exp_avg", "first"), ("exp_avg_sq", "second")):
            if key in moments:
                groups[group][name] = moments[key].to(torch.bfloat16).contiguous().cpu()
    for group, tensors in groups.items():
        save_file(tensors, out / f"state-{group}.safetensors")
    facts = {"steps": training.steps, "samples": training.samples, "size": training.recipe.size}
    (out / "state.json").write_text(json.dumps(facts))


def restore(training: Training, folder: Path) -> None:
    """Go on from what :func:`save_state` wrote, or from weights alone where there is no state.

    Raises
    ------
    FileNotFoundError
        Where the folder holds neither.
    """
    import torch
    from safetensors.torch import load_file

    parameters = dict(training.network.named_parameters())
    mean = dict(zip(parameters, training.mean, strict=True))
    averaged = load_file(folder / "weights.safetensors")
    exact = dict(averaged)
    if (folder / "state.json").exists():
        exact = {
            **load_file(folder / "state-weights-a.safetensors"),
            **load_file(folder / "state-weights-b.safetensors"),
        }
        moments = [load_file(folder / f"state-{key}.safetensors") for key in ("first", "second")]
        facts = json.loads((folder / "state.json").read_text())
        training.steps, training.samples = facts["steps"], facts["samples"]
        for name, parameter in parameters.items():
            first, second = (m[name].float().to(parameter.device) for m in moments)
            step = torch.tensor(
                float(training.steps), device=parameter.device if training.device == "cuda" else "cpu"
            )
            training.optimizer.state[parameter] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(exact[name])
            mean[name].copy_(averaged[name])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    begin = time.monotonic()
    options = _parser().parse_args(arguments)
    import torch

    from napari_volseg.training.click_targets import Pool
    from napari_volseg.training.click_training import Recipe, Training, validated
    from napari_volseg.training.synthetic import SyntheticVolumes
    from napari_volseg.training.synthetic_templates import Templates

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    options.out.mkdir(parents=True, exist_ok=True)
    phases = parse_phases(options.phases) if options.phases else PHASES
    recipe = Recipe(size=options.size, rate=options.rate, fresh=options.fresh)
    training = Training(recipe, device, compiled=device == "cuda" and not options.eager)
    if options.resume:
        restore(training, options.resume)
    templates = Templates.load(options.templates) if options.templates else None
    seed = options.seed + training.steps
    pool = Pool(SyntheticVolumes(device, seed, templates), options.pool, options.pool_edge, device)
    for _ in range(options.pool // options.fill):
        pool.refresh(options.fill)
    print(json.dumps({"device": device, "pool_seconds": round(time.monotonic() - begin, 1)}), flush=True)
    run = Run(training, pool, options.out, 60 * options.minutes, begin)
    for phase in phases:
        run.learn(phase)
    save_weights(training, options.out)
    save_state(training, options.out)
    facts: dict[str, Any] = {
        "recipe": asdict(recipe),
        "phases": [asdict(p) for p in phases],
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__,
        "steps": training.steps,
        "samples": training.samples,
        "seconds": round(time.monotonic() - begin, 1),
        "history": run.history,
    }
    (options.out / "training.json").write_text(json.dumps(facts, indent=1))
    fresh = Pool(SyntheticVolumes(device, VALIDATION_SEED, templates), options.fill, options.pool_edge, device)
    fresh.refresh(options.fill)
    last = phases[-1]
    facts["validation"] = validated(training.averaged(), fresh, last.edge, last.batch, options.validation, 5)
    (options.out / "training.json").write_text(json.dumps(facts, indent=1))
    write_card(options.out, facts)
    print("Dice after 1 to 5 prompts on new volumes:", facts["validation"], flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and state")
    parser.add_argument("--minutes", type=float, required=True, help="time to learn in this call")
    parser.add_argument("--size", default="s24", help="of the network: s24 or small")
    parser.add_argument("--device", default=None, help="cuda or cpu; the best one by default")
    parser.add_argument("--resume", type=Path, default=None, help="folder of an earlier call to go on from")
    parser.add_argument("--templates", type=Path, default=None, help="label maps as shape templates (.npz)")
    parser.add_argument("--phases", default=None, help="until:edge:batch,…, such as 0.6:64:64,1:96:24")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1, help="of the volumes")
    parser.add_argument("--pool", type=int, default=1024, help="volumes that are kept")
    parser.add_argument("--pool-edge", type=int, default=112, help="their edge, voxels")
    parser.add_argument("--fill", type=int, default=16, help="volumes that are made at once at the start")
    parser.add_argument("--fresh", type=int, default=16, help="new volumes every four steps")
    parser.add_argument("--validation", type=int, default=8, help="batches to validate on")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    return parser


if __name__ == "__main__":
    sys.exit(main())
