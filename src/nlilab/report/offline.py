"""A page template for `dvc plots show` that carries Vega itself: DVC's own loads it from a server.

The script (about 0.9 MB) comes out of vl-convert-python, so it is made on the spot and never committed.
"""

from importlib.resources import files
from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import write_text


def main(out: Path) -> None:
    """Write the template that `plots.html_template` of .dvc/config names."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    page = files("nlilab.report").joinpath("templates/plots.html").read_text(encoding="utf-8")
    write_text(out, page.replace("SCRIPT", script.replace("</script", "<\\/script")))


if __name__ == "__main__":
    run(main)
