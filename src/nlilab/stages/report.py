"""Stage report: one self-contained page, a Markdown table and the rows of the plots; from small files alone."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import write_json, write_text
from nlilab.report.facts import load
from nlilab.report.markdown import markdown
from nlilab.report.page import page
from nlilab.report.rows import plot_rows


def main(metrics: Path, out: Path) -> None:
    """Write report.html, report.md and plots/*.json from what this run's params.yaml names."""
    facts = load(metrics)
    write_text(out / "report.html", page(facts))
    write_text(out / "report.md", markdown(facts))
    for name, rows in plot_rows(facts).items():
        write_json(out / "plots" / f"{name}.json", rows)
    print(f"report: {out / 'report.html'}")


if __name__ == "__main__":
    run(main)
