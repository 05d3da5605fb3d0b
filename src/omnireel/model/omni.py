"""The whole model: pixels, sound and token ids in, logits out; and its encoders alone."""

import torch
from torch import Tensor, nn

from omnireel.model.audio.encoder import SoundEncoder, SoundProjection, sound_clips
from omnireel.model.audio.mel import log_mel
from omnireel.model.config import OmniConfig
from omnireel.model.language.backbone import LanguageModel
from omnireel.model.language.state import ModelState, new_state
from omnireel.model.vision.projector import pixel_shuffle, vision_projector
from omnireel.model.vision.tower import VisionTower


class Encoders(nn.Module):
    """Vision tower, audio encoder and projectors; attributes have the checkpoint's tensor names."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        self.config = config
        self._add_encoders()

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights and hidden states."""
        return next(self.mlp1.parameters()).dtype

    def encode_video(self, tubelets: Tensor) -> Tensor:
        """Vision tokens of a batch of tubelets. Tubelets are independent, so results of batches can be concatenated.

        tubelets: [n, T·3, R·p, K·p] normalised pixels, the channels of the first frame first
        Returns [n, R/2, K/2, D].
        """
        grid = self.vision_model(tubelets.to(self.dtype))
        return self.mlp1(pixel_shuffle(grid))  # type: ignore[no-any-return]

    def encode_sound(self, samples: Tensor) -> Tensor:
        """Sound tokens of a recording; only for a checkpoint with an audio encoder.

        samples: [L] fp32 at 16 kHz, −1…1
        Returns [num_sound_tokens(L), D].
        """
        assert self.config.sound is not None, "the checkpoint has no audio encoder"
        parts = []
        for clip in sound_clips(samples):
            mel = log_mel(clip, self.config.sound.num_mel_bins)
            parts.append(self.sound_projection(self.sound_encoder.encoder(mel.to(self.dtype))))
        return torch.cat(parts)

    def _add_encoders(self) -> None:
        config, language = self.config, self.config.language
        self.vision_model = VisionTower(config.vision)
        self.mlp1 = vision_projector(
            config.vision.width, config.projector_width, language.hidden_size, language.norm_eps
        )
        if config.sound is not None:
            self.sound_encoder = SoundEncoder(config.sound)
            self.sound_projection = SoundProjection(config.sound, language.hidden_size, language.norm_eps)


class Omni(Encoders):
    """The encoders and the language model; attributes have the checkpoint's tensor names."""

    def __init__(self, config: OmniConfig) -> None:
        nn.Module.__init__(self)  # the language model comes first, as in checkpoints
        self.config = config
        self.language_model = LanguageModel(config.language)
        self._add_encoders()

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights and hidden states."""
        return self.language_model.lm_head.weight.dtype

    def embed(self, ids: Tensor) -> Tensor:
        """ids: [...] int64. Returns [..., D]."""
        return self.language_model.backbone.embeddings(ids)  # type: ignore[no-any-return]

    def embed_prompt(self, ids: Tensor, kept: Tensor, is_vision: Tensor) -> Tensor:
        """Embeddings of a prompt, with the kept vision tokens at their positions, in order.

        ids: [S]; kept: [K, D]; is_vision: bool [S] with exactly K positions set. Returns [S, D].
        """
        assert int(is_vision.sum()) == len(kept), "prompt layout and kept tokens disagree"
        embeddings = self.embed(ids).clone()
        embeddings[is_vision] = kept.to(embeddings.dtype)
        return embeddings

    def new_state(self, batch_size: int = 1, *, capacity: int | None = None) -> ModelState:
        """The state of `batch_size` sequences before their first token.

        capacity: tokens to allocate KV cache for; None: the cache grows by concatenation
        """
        return new_state(self.config.language, batch_size=batch_size, capacity=capacity, dtype=self.dtype)

    def forward_hidden(self, x: Tensor, state: ModelState) -> Tensor:
        """x: [B, T, D], embeddings of the next T tokens. Returns hidden states after the final norm, [B, T, D].

        Advances `state` by T tokens.
        """
        return self.language_model.backbone(x, state)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden: [..., D]. Returns [..., V] fp32. Pass only the positions needed, because the head is large."""
        return self.language_model.logits(hidden)
