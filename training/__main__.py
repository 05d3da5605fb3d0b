"""`python -m training tower|talk|export`: the steps that make the demo checkpoint, in order."""

from pathlib import Path
from typing import Annotated

import typer

from training.loop import Schedule, launch
from training.tower import TowerStage

app = typer.Typer(no_args_is_help=True, add_completion=False)
Runs = Annotated[Path, typer.Option(help="where resumable checkpoints lie")]
Workers = Annotated[int, typer.Option(help="single-threaded processes; one per free core")]


@app.command()
def tower(runs: Runs = Path("runs"), workers: Workers = 2, steps: int = 700) -> None:
    """Teach the vision tower to see: dense targets for every patch."""
    launch(TowerStage, Schedule(steps, peak_rate=1.5e-3), runs / "tower", workers)


if __name__ == "__main__":
    app()
