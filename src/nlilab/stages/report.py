"""Stage report: one self-contained page, a Markdown file, a picture, the rows of the plots; from small files alone."""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import write_json, write_text
from nlilab.report.contents import contents
from nlilab.report.facts import load
from nlilab.report.markdown import markdown
from nlilab.report.page import page
from nlilab.report.plots import results
from nlilab.report.rows import plot_rows
from nlilab.report.vega import picture


def main(metrics: Path, out: Path) -> None:
    """Write report.html, report.md, results.svg and plots/*.json from what this run's params.yaml names."""
    facts = load(metrics)
    report = contents(facts)
    write_text(out / "report.html", page(report))
    write_text(out / "report.md", markdown(report))
    write_text(out / "results.svg", picture(results(facts)))
    for name, rows in plot_rows(facts).items():
        write_json(out / "plots" / f"{name}.json", rows)
    print(f"report: {out / 'report.html'}")


if __name__ == "__main__":
    run(main)
