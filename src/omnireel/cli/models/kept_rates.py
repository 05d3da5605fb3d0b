"""The measured speeds of a model on this machine, kept in the data directory from process to process. No torch.

They are the one source of expected times: `inspect` reads them, `doctor` shows them beside the limits of the machine,
and a process that loads the model goes on from them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

from omnireel.engine.rates import Rate, Rates
from omnireel.errors import OmnireelError
from omnireel.model.checkpoint.model_files import ModelFiles
from omnireel.settings import Settings

log = logging.getLogger("omnireel.rates")
# What changes the speed of a model.
_SETTINGS = ("dtype", "threads", "gpu_layers", "flash_attention", "repack")


def load_rates(settings: Settings, files: ModelFiles) -> Rates:
    """The rates that an earlier process kept; unknown ones where there are none, or they cannot be read."""
    try:
        kept = json.loads(_path(settings, files).read_text("utf-8"))
        return Rates(*(Rate(*map(float, kept[name])) for name in ("vision", "prefill", "decode")))
    except FileNotFoundError:
        return Rates()
    except (OSError, ValueError, TypeError, KeyError, OmnireelError) as error:
        log.warning("the measured speeds cannot be read: %s", error)
        return Rates()


def keep_rates(settings: Settings, files: ModelFiles, rates: Rates) -> None:
    """Keep rates for later processes; the last one to end is the one that counts. Where it fails, none are kept."""
    measured = {"vision": rates.vision, "prefill": rates.prefill, "decode": rates.decode}
    if not any(rate.measured[1] for rate in measured.values()):
        return
    try:
        path = _path(settings, files)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.write_text(json.dumps({name: rate.measured for name, rate in measured.items()}), "utf-8")
        unfinished.replace(path)
    except (OSError, OmnireelError) as error:
        log.warning("the measured speeds cannot be kept: %s", error)


def _path(settings: Settings, files: ModelFiles) -> Path:
    """A name for the weights, the number of processors, and the settings that change the speed."""
    weights = files.language or next(iter(sorted(files.directory.glob("*.safetensors"))), files.directory)
    facts = weights.stat()
    kind = [str(weights.resolve()), facts.st_size, facts.st_mtime_ns, len(os.sched_getaffinity(0))]
    chosen = [getattr(settings, name) for name in _SETTINGS]
    digest = hashlib.sha256(json.dumps(kind + chosen).encode()).hexdigest()
    return settings.data_directory / "rates" / f"{digest[:16]}.json"
