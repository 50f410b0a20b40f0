"""What draws the canvas."""

from __future__ import annotations

from typing import Any

from vispy.gloo import gl

#: What drivers call themselves that draw with the processor.
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader", "gdi generic")


def draws_in_software(canvas: Any) -> bool:
    """Whether a canvas, a widget of OpenGL that has been drawn, is drawn without a graphics card."""
    if not canvas.isValid():
        return False
    canvas.makeCurrent()
    renderer = str(gl.glGetParameter(gl.GL_RENDERER)).lower()
    canvas.doneCurrent()
    return any(name in renderer for name in SOFTWARE)
