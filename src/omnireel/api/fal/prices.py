"""The price of tokens, the same as at the hosted endpoint."""

from decimal import Decimal

USD_PER_UNIT = Decimal("0.006")
TOKENS_PER_UNIT = 1000
UNIT = f"{TOKENS_PER_UNIT} tokens"
MICRO_USD_PER_TOKEN = int(USD_PER_UNIT * 1_000_000 / TOKENS_PER_UNIT)


def billable_units(num_tokens: int) -> str:
    """Thousands of tokens in the form of the header: a whole number, or a number with 8 decimals."""
    units, rest = divmod(num_tokens, TOKENS_PER_UNIT)
    return str(units) if rest == 0 else f"{Decimal(num_tokens) / TOKENS_PER_UNIT:.8f}"


def price_usd(num_tokens: int) -> Decimal:
    """The price of `num_tokens` in US dollars."""
    return USD_PER_UNIT * num_tokens / TOKENS_PER_UNIT
