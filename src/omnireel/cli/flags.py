"""Flags and arguments that several commands have, as typer reads them."""

from typing import Annotated

import typer

Video = Annotated[
    str, typer.Argument(metavar="VIDEO", help="A video file, an https address, or a data: URI.")
]
Model = Annotated[
    str | None, typer.Option(show_default="demo", help="demo, a checkpoint's directory, or a pulled id.")
]
Dtype = Annotated[
    str | None, typer.Option(show_default="auto", help="Compute in float32 or bfloat16; auto: the faster.")
]
Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="The question or instruction.")]
Think = Annotated[bool | None, typer.Option("--think/--no-think", help="Reason first, then answer.")]
System = Annotated[str | None, typer.Option(help="System message.")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same answer.")]
MaxTokens = Annotated[int | None, typer.Option(show_default="1024", help="Most tokens of the answer.")]
Temperature = Annotated[float | None, typer.Option(show_default="0.7", help="0 takes the likeliest token.")]
TopP = Annotated[float | None, typer.Option(show_default="0.95", help="Share of probability to draw from.")]
Start = Annotated[float | None, typer.Option(metavar="SECOND", help="Look from here on.")]
End = Annotated[float | None, typer.Option(metavar="SECOND", help="Look up to here.")]
Fps = Annotated[float | None, typer.Option(show_default="2", help="Frames looked at per second.")]
MaxFrames = Annotated[int | None, typer.Option(show_default="256", help="Most frames looked at.")]
PruningRate = Annotated[float | None, typer.Option(help="Share of vision tokens to drop.")]
Audio = Annotated[
    bool | None, typer.Option("--audio/--no-audio", help="Listen to the clip's own sound, if the model can.")
]
Budget = Annotated[int | None, typer.Option(help="Most tokens of the chain of thought.")]
Grace = Annotated[int | None, typer.Option(help="Tokens beyond that to end a line in.", show_default="0")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, as the endpoint answers.")]
