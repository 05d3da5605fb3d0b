"""The input of the audio encoder: log mel spectra of 16 kHz samples, in fp32.

Source: NeMo's AudioToMelSpectrogramPreprocessor, as implemented by `ParakeetFeatureExtractor` of transformers 5.23.
The filters are those of librosa with Slaney's scale and norm.
"""

from functools import cache

import torch
from torch import Tensor

from omnireel.model.token_counts import HOP, SAMPLE_RATE, num_spectra

_N_FFT, _WINDOW = 512, 400
_PREEMPHASIS = 0.97
_LOG_FLOOR, _STD_FLOOR = 2.0**-24, 1e-5


def log_mel(samples: Tensor, num_bins: int) -> Tensor:
    """samples: [L] fp32 in −1…1, at least two hops. Returns [L // 160, num_bins].

    Each bin is normalised to mean 0 and standard deviation 1 over the clip.
    """
    emphasised = torch.cat([samples[:1], samples[1:] - _PREEMPHASIS * samples[:-1]])
    window = torch.hann_window(_WINDOW, periodic=False)
    spectrum = torch.stft(
        emphasised, _N_FFT, hop_length=HOP, win_length=_WINDOW, window=window, return_complex=True,
        pad_mode="constant",
    )  # fmt: skip
    power = spectrum.real.square() + spectrum.imag.square()  # [257, frames]
    mel = torch.log(mel_filters(num_bins) @ power + _LOG_FLOOR)[:, : num_spectra(len(samples))].T
    return (mel - mel.mean(0)) / (mel.std(0) + _STD_FLOOR)


@cache
def mel_filters(num_bins: int) -> Tensor:
    """Triangular filters of equal area between neighbouring mel frequencies, [num_bins, 257]."""
    edges = _mel_to_hz(
        torch.linspace(0, float(_hz_to_mel(SAMPLE_RATE / 2)), num_bins + 2, dtype=torch.float64)
    )
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, _N_FFT // 2 + 1, dtype=torch.float64)
    widths = edges.diff()
    slopes = edges[:, None] - frequencies
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


# Slaney's scale: linear up to 1 kHz, 15 mels, then 27 steps for each factor of 6.4.
_LINEAR_HZ, _KNEE_HZ = 200 / 3, 1000.0
_LOG_STEP = torch.log(torch.tensor(6.4, dtype=torch.float64)) / 27


def _hz_to_mel(hz: float) -> Tensor:
    knee = _KNEE_HZ / _LINEAR_HZ
    return knee + torch.log(torch.tensor(hz / _KNEE_HZ, dtype=torch.float64)) / _LOG_STEP


def _mel_to_hz(mel: Tensor) -> Tensor:
    knee = _KNEE_HZ / _LINEAR_HZ
    return torch.where(mel < knee, mel * _LINEAR_HZ, _KNEE_HZ * torch.exp((mel - knee) * _LOG_STEP))
