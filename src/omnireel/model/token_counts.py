"""How many tokens a clip becomes, in plain numbers: pruned vision tokens and sound tokens. Free of torch.

The encoders use these same functions, so a count made without weights is the count of the real encoding.
"""

SAMPLE_RATE = 16_000
HOP = 160  # samples from one spectrum to the next
CLIP_SAMPLES = 30 * SAMPLE_RATE
MIN_SAMPLES = SAMPLE_RATE // 10
NUM_HALVINGS = 3  # the audio encoder halves the number of spectra so many times


def num_kept(num_tubelets: int, tokens_per_tubelet: int, rate: float) -> int:
    """How many vision tokens are left after pruning, known before anything is encoded.

    rate: share to drop, 0 ≤ rate < 1; at least the tokens of one whole tubelet are kept
    Example: 4 tubelets of 252 tokens at 0.5 keep 504; 2 tubelets keep 252.
    """
    return max(tokens_per_tubelet, int(num_tubelets * tokens_per_tubelet * (1 - rate)))


def num_spectra(num_samples: int) -> int:
    """Spectra that are used. The transform gives one more, centred past the end."""
    return num_samples // HOP


def clip_lengths(num_samples: int) -> list[int]:
    """Samples of each clip of at most 30 s that a recording is cut into; a short last clip is padded to 0.1 s."""
    whole, rest = divmod(num_samples, CLIP_SAMPLES)
    return [CLIP_SAMPLES] * whole + ([max(rest, MIN_SAMPLES)] if rest or not whole else [])


def num_sound_tokens(num_samples: int) -> int:
    """Tokens of a whole recording at 16 kHz, cut into clips of 30 s; at least 1."""
    return max(1, sum(_num_clip_tokens(length) for length in clip_lengths(num_samples)))


def _num_clip_tokens(num_samples: int) -> int:
    length = num_spectra(num_samples)
    for _ in range(NUM_HALVINGS):
        length = (length - 1) // 2 + 1
    return length
