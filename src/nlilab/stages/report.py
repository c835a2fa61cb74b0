"""Stage report: one self-contained page."""
from pathlib import Path

from nlilab.command import run


def main(metrics: Path, out: Path) -> None:
    """Placeholder."""


if __name__ == "__main__":
    run(main)
