"""Hands the figures of a script to the test that runs it."""

import json
import os
from pathlib import Path

import numpy as np


def keep(**figures: object) -> None:
    told = {name: np.asarray(value).tolist() if name in {"evs", "stds"} else value for name, value in figures.items()}
    Path(os.environ["KEPT"]).write_text(json.dumps(told))
