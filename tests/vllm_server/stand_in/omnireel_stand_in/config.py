"""The config of a checkpoint, as vLLM's model reads it."""

from typing import Any

from transformers import NemotronHConfig, PreTrainedConfig

Raw = dict[str, Any]


class ScaledConfig(PreTrainedConfig):
    """The parts of config.json as configs of their own. The language part is called text_config, as vLLM expects."""

    model_type = "NemotronH_Nano_Omni_Reasoning_V3"

    def __init__(
        self,
        llm_config: Raw | None = None,
        vision_config: Raw | None = None,
        sound_config: Raw | None = None,
        **fields: Any,
    ) -> None:
        language = dict(llm_config or {})
        language.pop("model_type", None)
        dtype = fields.get("dtype") or fields.get("torch_dtype")
        self.text_config = NemotronHConfig(**language, dtype=dtype)
        self.vision_config = PreTrainedConfig(**_without_type(vision_config))
        self.sound_config = PreTrainedConfig(**_without_type(sound_config)) if sound_config else None
        self.template = None
        super().__init__(**fields)


def _without_type(raw: Raw | None) -> Raw:
    return {name: value for name, value in (raw or {}).items() if name != "model_type"}
