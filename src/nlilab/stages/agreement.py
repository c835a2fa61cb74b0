"""Stage agreement: how far people agree on the rows that they graded, and what they say of each generator."""

import sys
from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import write_json
from nlilab.grading.agreement import agreement


def main(grades: Path, out: Path) -> None:
    """Read the samples and grades of `grades`; with no grades at all, say so in numbers."""
    found = agreement(grades, lambda line: print(f"warning: {line}", file=sys.stderr))
    write_json(out, found)
    names = ", ".join(found["graders"]) or "nobody yet: `nlilab grade` opens the page"
    print(f"{found['rows']} rows in {len(found['samples'])} samples, graded by {names}")


if __name__ == "__main__":
    run(main)
