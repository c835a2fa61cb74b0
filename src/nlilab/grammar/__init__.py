"""A compositional English grammar that writes instances of every task, whose labels hold by construction."""

import hashlib
from pathlib import Path

from nlilab.grammar.corpus import ForeignText, contexts, hypotheses, premises
from nlilab.grammar.derive import Hypothesis
from nlilab.grammar.kinds import Kind, Made
from nlilab.grammar.tasks import KINDS

__all__ = ["KINDS", "ForeignText", "Hypothesis", "Kind", "Made", "contexts", "hypotheses", "premises", "version"]


def version() -> str:
    """A digest of the grammar's own files: part of every request, so that no answer of an older grammar is served."""
    home = Path(__file__).parent
    files = sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.suffix in (".py", ".yaml"))
    return hashlib.sha256(b"\0".join((home / name).read_bytes() for name in files)).hexdigest()[:12]
