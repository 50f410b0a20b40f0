"""What can compute a network: torch on any device; OpenVINO and ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from napari_volseg.core import UsageError
from napari_volseg.inference.devices import import_torch, wait_for
from napari_volseg.inference.sliding import Network

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BACKENDS = ("auto", "torch", "openvino", "onnx")

#: Per back end beyond torch: the package that it needs, and the extra that installs it.
_PACKAGES = {"openvino": ("openvino", "openvino"), "onnx": ("onnxruntime", "onnx")}

#: A back end must beat torch by this factor to be chosen for it.
_WORTHWHILE = 1.1


def open_module(
    module: torch.nn.Module, window: Sequence[int], device: torch.device, backend: str
) -> tuple[Network, str]:
    """Return the forward pass of a torch module and the name of what computes it.

    Parameters
    ----------
    module
        In evaluation mode.
    window
        Shape (1, c, z, y, x) of what it will be given.
    device
        Where the windows lie; only torch knows others than the CPU.
    backend
        One of `BACKENDS`; ``"auto"`` takes OpenVINO instead of torch where it is installed, the device is the CPU,
        and one window is clearly faster with it.

    Raises
    ------
    UsageError
        For a back end that is unknown, not installed, or not for this device.
    """
    require_backend(backend, device)
    if backend == "openvino":
        return compile_openvino(module, window), "OpenVINO"
    if backend == "onnx":
        return open_onnx(to_onnx(module, window)), "ONNX Runtime"
    plain = on_torch(module, device)
    if device.type == "cuda":
        return plain, "torch, float16"
    if backend == "torch" or device.type != "cpu" or not is_installed("openvino"):
        return plain, "torch"
    compiled = compile_openvino(module, window)
    faster = _WORTHWHILE * _seconds(compiled, window) < _seconds(plain, window)
    return (compiled, "OpenVINO") if faster else (plain, "torch")


def is_installed(backend: str) -> bool:
    """Whether the package of a back end can be imported."""
    return backend not in _PACKAGES or importlib.util.find_spec(_PACKAGES[backend][0]) is not None


def require_backend(backend: str, device: torch.device) -> None:
    """Refuse a back end that is unknown, not installed, or not for a device."""
    if backend not in BACKENDS:
        raise UsageError(f"back end {backend!r} is unknown to this model: choose one of {', '.join(BACKENDS)}")
    if not is_installed(backend):
        extra = _PACKAGES[backend][1]
        raise UsageError(f'the back end {backend} is not installed: run pip install "napari-volseg[{extra}]"')
    if backend in _PACKAGES and device.type != "cpu":
        raise UsageError(f"the back end {backend} computes on the CPU only: choose the device cpu, or torch")


def on_torch(module: Callable[[Tensor], Tensor], device: torch.device) -> Network:
    """Return a module's forward pass on a device, in half precision on CUDA.

    On CUDA it returns when the device is done with the window before, so that the next one is ready when this one
    ends and at most two are under way; on others when the device is done.
    """
    network = module.to(device) if hasattr(module, "to") else module
    if device.type == "cuda":
        return _on_cuda(network, device)

    def forward(window: Tensor) -> Tensor:
        logits = network(window)
        wait_for(device)
        return logits

    return forward


def _on_cuda(network: Callable[[Tensor], Tensor], device: torch.device) -> Network:
    torch = import_torch()
    before: list[Any] = []

    def forward(window: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.float16), torch.backends.cudnn.flags(enabled=True, benchmark=True):
            logits = network(window)
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(device))
        while before:
            before.pop().synchronize()
        before.append(event)
        return logits

    return forward


def compile_openvino(module: torch.nn.Module, window: Sequence[int]) -> Network:
    """Return a module compiled by OpenVINO for windows of one shape: 32-bit floats, as many threads as torch."""
    import openvino

    torch = import_torch()
    with torch.no_grad():
        model = openvino.convert_model(
            module.cpu(), example_input=torch.zeros(*window), input=[openvino.PartialShape(list(window))]
        )
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()

    def forward(tensor: Tensor) -> Tensor:
        found = request.infer([tensor.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(found[0].copy())  # the request writes its next answer into the same memory

    return forward


def to_onnx(module: torch.nn.Module, window: Sequence[int]) -> bytes:
    """Return a module as an ONNX model for windows of one shape."""
    torch = import_torch()
    file = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(module.cpu(), (torch.zeros(*window),), file, dynamo=False, input_names=["image"])
    return file.getvalue()


def open_onnx(model: bytes | str) -> Network:
    """Return the forward pass of an ONNX model, given as its bytes or its path, on as many threads as torch."""
    import onnxruntime

    torch = import_torch()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def forward(tensor: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: tensor.contiguous().numpy()})[0])

    return forward


def _seconds(network: Network, window: Sequence[int]) -> float:
    """Return how long one window takes, the first not counted."""
    torch = import_torch()
    with torch.inference_mode():
        network(torch.zeros(*window))
        start = perf_counter()
        network(torch.zeros(*window))
    return perf_counter() - start
