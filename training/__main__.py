"""`python -m training tower|talk|export`: the steps that make the demo checkpoint, in this order.

`vocabulary` makes a new tokenizer and is rarely needed; `evaluate` measures accuracy.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from training.evaluate import evaluate as judge_clips
from training.evaluate import show
from training.exams import survey
from training.export import export as write_checkpoint
from training.loop import Schedule, digest, launch
from training.pictures.sources import fetch
from training.start import Start
from training.talk import TalkStage
from training.talk_batch import Curriculum
from training.tower import TowerStage
from training.vocabulary import TOKENIZER, train_tokenizer, write_text_files

DEMO = Path(__file__).parents[1] / "src" / "omnireel" / "assets" / "demo"
TOWER_STEPS = 1900
app = typer.Typer(no_args_is_help=True, add_completion=False)
Runs = Annotated[Path, typer.Option(help="directory of the resumable checkpoints")]
Workers = Annotated[int, typer.Option(help="number of single-threaded processes; one per free core")]
PicturesDirectory = Annotated[
    Path, typer.Option(help="directory of the pictures that are no simple scenes; see `pictures`")
]


@app.command()
def vocabulary() -> None:
    """Train a new tokenizer on the current questions. Existing weights keep theirs: continue with `talk --start`."""
    tokenizer = train_tokenizer()
    tokenizer.save(str(TOKENIZER))
    print(f"{TOKENIZER}: {tokenizer.get_vocab_size()} tokens")


@app.command()
def tower(
    runs: Runs = Path("runs"),
    workers: Workers = 2,
    steps: int = TOWER_STEPS,
    start: Annotated[
        Path | None, typer.Option(help="continue from a checkpoint of this stage or a model")
    ] = None,
    pictures: PicturesDirectory = Path("runs/pictures"),
) -> None:
    """Train the vision tower on dense targets for every patch."""
    if start is None:
        make, peak_rate = partial(TowerStage, pictures=pictures), 1.5e-3
    else:
        name = f"tower-{digest(start)}"
        make = partial(TowerStage, start, name=name, steps=TOWER_STEPS, pictures=pictures)
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
            help="checkpoint of a stage, or a model, that has the tower; default: --start, else --runs"
        ),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="continue from a checkpoint of this stage or a model")
    ] = None,
    pictures: PicturesDirectory = Path("runs/pictures"),
    rate: Annotated[
        float | None, typer.Option(help="highest learning rate; default 1.2e-3, or 5e-4 with --start")
    ] = None,
) -> None:
    """Train the projector and the language model on questions, with the finished tower."""
    if not (runs / "talk" / "last.pt").exists():  # a resumed run keeps its vocabulary
        write_text_files(runs / "demo")
    if start is None:
        begin = Start(None, tower or runs / "tower" / "last.pt")
        curriculum, usual_rate = Curriculum(), 1.2e-3
    else:
        begin = Start(start, tower)
        curriculum = Curriculum(f"talk-{digest(start)}", tubelets=104, questions=116, short_steps=1)
        usual_rate = 5e-4  # at 8e-4 the model loses more than it learns
    make = partial(TalkStage, begin, runs / "demo", curriculum, pictures)
    launch(make, Schedule(steps, peak_rate=rate or usual_rate, warmup=50), runs / "talk", workers)


@app.command()
def pictures(directory: Path = Path("runs/pictures")) -> None:
    """Download pictures that are no simple scenes. Needs apt-get and dpkg."""
    fetch(directory)


@app.command()
def export(
    runs: Runs = Path("runs"),
    directory: Path = DEMO,
    mean_with: Annotated[
        list[Path] | None,
        typer.Option(
            help="average the weights with those of this checkpoint or model; can be given several times"
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
    """Ask about held-out clips through the full path, and count the right answers."""
    show(judge_clips(checkpoint, clips=clips, seed=seed, workers=workers, temperature=temperature))


@app.command(name="survey")
def survey_set(
    *,
    name: Annotated[str, typer.Argument(help="scenes, wordings, alike, writing or pictures")],
    checkpoint: Path = DEMO,
    clips: int = 200,
    seed: int = 1,
    workers: Workers = 2,
    temperature: float = 0.7,
    pictures: Path = Path("runs/pictures"),
) -> None:
    """Ask many questions about each held-out clip in one batch, without the server's path, and count the right answers."""
    show(
        survey(
            checkpoint,
            name,
            clips=clips,
            seed=seed,
            workers=workers,
            temperature=temperature,
            pictures=pictures,
        )
    )


if __name__ == "__main__":
    app()
