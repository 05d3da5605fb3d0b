"""vLLM's model, with what a scaled checkpoint in fp32 on a CPU needs on top."""

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from omnireel_stand_in import experts


@contextmanager
def _empty_torchvision() -> Iterator[None]:
    """vLLM's module about InternVL, which this model shares some lines with, imports it; nothing here calls it."""
    names = ("torchvision", "torchvision.transforms")
    modules = {name: ModuleType(name) for name in names}
    modules["torchvision"].transforms = modules["torchvision.transforms"]
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


with _empty_torchvision():
    import_module("vllm.transformers_utils.processors.internvl")
from vllm.model_executor.models import parakeet
from vllm.model_executor.models.nano_nemotron_vl import NemotronH_Nano_VL_V2
from vllm.transformers_utils.configs.radio import VIT_TIMM_DIM_BY_NAME


def _in_fp32(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method, with fp32 where it names bf16: it casts a tower's output so, whatever the model's type is."""
    source = textwrap.dedent(inspect.getsource(method))
    assert "torch.bfloat16" in source, method
    found: dict[str, Callable[..., Any]] = {}
    exec(source.replace("torch.bfloat16", "torch.float32"), method.__globals__, found)
    return found[method.__name__]


class ScaledModel(NemotronH_Nano_VL_V2):
    """The model with a vision tower of the size that its config gives."""

    extract_feature = _in_fp32(NemotronH_Nano_VL_V2.extract_feature)

    def get_vit_model_from_radio_config(self, hf_config: Any) -> Any:
        """vLLM looks the size of a tower up by its name."""
        vision = hf_config.vision_config
        width = vision.hidden_size
        sizes = (width, vision.num_hidden_layers, vision.num_attention_heads, 4 * width)
        VIT_TIMM_DIM_BY_NAME[vision.args["model"]] = sizes
        return super().get_vit_model_from_radio_config(hf_config)


experts.install()
parakeet.ProjectedParakeet.forward = _in_fp32(parakeet.ProjectedParakeet.forward)
