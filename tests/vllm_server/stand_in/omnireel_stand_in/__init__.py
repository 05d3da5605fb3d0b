"""Test stand-ins that let vLLM's CPU build run a scaled checkpoint of this model. Not for production.

vLLM runs the published model on GPUs. Its CPU build refuses experts with relu², and it takes vision towers of four
sizes only. This plugin gives it, in every process that it starts:

config.py   a class for the config, in place of the code that the published repository brings along
model.py    vLLM's own model, with a tower of any size and towers that compute in fp32
experts.py  experts with relu² on a CPU, as a loop in torch

All else is vLLM's: the protocol, the readers of frames and sound, the prompt, pruning, attention, Mamba, sampling.
"""

ARCHITECTURE = "NemotronH_Nano_Omni_Reasoning_V3"


def register() -> None:
    """Called by vLLM, in each of its processes."""
    from vllm import ModelRegistry
    from vllm.transformers_utils import config as configs

    from omnireel_stand_in.config import ScaledConfig

    configs._CONFIG_REGISTRY[ARCHITECTURE] = ScaledConfig
    ModelRegistry.register_model(ARCHITECTURE, "omnireel_stand_in.model:ScaledModel")
