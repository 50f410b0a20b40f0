"""``python -m napari_volseg``."""

import sys

from napari_volseg.cli import main

sys.exit(main())
