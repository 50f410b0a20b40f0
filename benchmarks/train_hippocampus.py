"""Train a small 3D U-Net of the hippocampus with nnunetv2 itself, one fold; a fifth of the cases is held back.

Run it with the interpreter that has nnunetv2; a training that was stopped goes on where its last epoch ended.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from hippocampus import LABELS, read_cases
from nnunet_training import Json, Recipe, Workshop


def small(configuration: Json) -> None:
    """Make the planned network small enough for a CPU."""
    kwargs = configuration["architecture"]["arch_kwargs"]
    kwargs["features_per_stage"] = [min(16 * 2**stage, 128) for stage in range(kwargs["n_stages"])]
    configuration["batch_size"] = 2


RECIPE = Recipe(4, "Hippocampus", ("T1",), LABELS, small, adam=True, epochs=7, iterations=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the hippocampus cases")
    parser.add_argument("--out", type=Path, required=True, help="where nnU-Net works and leaves the model")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(Workshop(options.out).train(RECIPE, read_cases(options.data)))


if __name__ == "__main__":
    main()
