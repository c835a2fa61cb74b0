"""A page template for `dvc plots show` that carries Vega itself: DVC's own loads it from a server.

The script (about 0.9 MB) comes out of vl-convert-python, so it is made on the spot and never committed.
"""

from pathlib import Path

from nlilab.core.command import run
from nlilab.core.files import write_text

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
{refresh_tag}
<meta charset="utf-8">
<title>nlilab: plots</title>
<style>body {font-family: Arial, Helvetica, sans-serif; margin: 1.5rem;} body > div {margin-bottom: 2.5rem;}</style>
<script>SCRIPT</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def main(out: Path) -> None:
    """Write the template that `plots.html_template` of .dvc/config names."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    write_text(out, PAGE.replace("SCRIPT", script.replace("</script", "<\\/script")))


if __name__ == "__main__":
    run(main)
