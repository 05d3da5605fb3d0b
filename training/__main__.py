"""`python -m training tower|talk|export`: the steps that make the demo checkpoint, in order; `vocabulary` is apart."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from training.evaluate import evaluate as judge_clips
from training.evaluate import show
from training.export import export as write_checkpoint
from training.loop import Schedule, digest, launch
from training.start import Start
from training.talk import TalkStage
from training.talk_batch import Course
from training.tower import TowerStage
from training.vocabulary import TOKENIZER, train_tokenizer, write_text_files

DEMO = Path(__file__).parents[1] / "src" / "omnireel" / "assets" / "demo"
TOWER_STEPS = 1900
app = typer.Typer(no_args_is_help=True, add_completion=False)
Runs = Annotated[Path, typer.Option(help="where resumable checkpoints lie")]
Workers = Annotated[int, typer.Option(help="single-threaded processes; one per free core")]


@app.command()
def vocabulary() -> None:
    """Draw the words anew from today's questions. Weights keep theirs: go on from them with `talk --start`."""
    tokenizer = train_tokenizer()
    tokenizer.save(str(TOKENIZER))
    print(f"{TOKENIZER}: {tokenizer.get_vocab_size()} tokens")


@app.command()
def tower(
    runs: Runs = Path("runs"),
    workers: Workers = 2,
    steps: int = TOWER_STEPS,
    start: Annotated[Path | None, typer.Option(help="go on from this stage's checkpoint or a model")] = None,
) -> None:
    """Teach the vision tower to see: dense targets for every patch."""
    if start is None:
        make, peak_rate = partial(TowerStage), 1.5e-3
    else:
        make = partial(TowerStage, start, name=f"tower-{digest(start)}", steps=TOWER_STEPS)
        peak_rate = 7e-4
    launch(make, Schedule(steps, peak_rate=peak_rate), runs / "tower", workers)


@app.command()
def talk(
    *,
    runs: Runs = Path("runs"),
    workers: Workers = 2,
    steps: int = 2800,
    tower: Annotated[
        Path | None,
        typer.Option(
            help="stage's checkpoint or model with the tower; unless said that of --start or --runs"
        ),
    ] = None,
    start: Annotated[Path | None, typer.Option(help="go on from this stage's checkpoint or a model")] = None,
    rate: Annotated[
        float | None, typer.Option(help="highest learning rate; unless said 1.2e-3, going on 5e-4")
    ] = None,
) -> None:
    """Teach projector and language model to answer, on the finished tower."""
    if not (runs / "talk" / "last.pt").exists():  # what is resumed keeps the vocabulary that it began with
        write_text_files(runs / "demo")
    if start is None:
        begin = Start(None, tower or runs / "tower" / "last.pt")
        course, usual_rate = Course(), 1.2e-3
    else:
        begin = Start(start, tower)
        course = Course(f"talk-{digest(start)}", short_steps=1)
        usual_rate = 5e-4  # at 8e-4 what was learned is shaken loose faster than anything new is learned
    make = partial(TalkStage, begin, runs / "demo", course)
    launch(make, Schedule(steps, peak_rate=rate or usual_rate, warmup=50), runs / "talk", workers)


@app.command()
def export(
    runs: Runs = Path("runs"),
    directory: Path = DEMO,
    mean_with: Annotated[
        list[Path] | None,
        typer.Option(
            help="take the mean of weights with this stage's checkpoint or model too; may be given again"
        ),
    ] = None,
) -> None:
    """Write the checkpoint in the official layout."""
    size = write_checkpoint(runs / "talk" / "last.pt", directory, mean_with or ())
    print(f"{directory}: {size / 1e6:.1f} MB of weights")


@app.command()
def evaluate(
    checkpoint: Path = DEMO, clips: int = 500, seed: int = 1, workers: Workers = 2, temperature: float = 0.7
) -> None:
    """Ask about held-out clips through the full path and count the right answers."""
    show(judge_clips(checkpoint, clips=clips, seed=seed, workers=workers, temperature=temperature))


if __name__ == "__main__":
    app()
