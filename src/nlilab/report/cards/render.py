"""Cards as Markdown: the templates beside this file, and tables in which text of the data is text."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nlilab.report import markdown
from nlilab.report.numbers import listed, percent


def rendered(template: str, **facts: Any) -> str:
    """A card's body."""
    environment = Environment(  # Markdown, not HTML: what needs escaping goes through `safe` or stands in a code block
        loader=PackageLoader(__package__, "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(safe=markdown.safe, percent=percent, listed=listed)
    environment.globals["table"] = markdown.table
    return environment.get_template(template).render(**facts).strip() + "\n"
