"""Where the program starts: `omnireel`, and `python -m omnireel`."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C while it is still being imported exits with 130, without a traceback."""
    try:
        from omnireel.cli import main as run  # noqa: PLC0415  # the import takes long enough to be interrupted

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
