"""A compositional English grammar that writes premises and hypotheses whose labels hold by construction."""

from nlilab.grammar.corpus import ForeignText, contexts, hypotheses, premises
from nlilab.grammar.derive import Hypothesis

__all__ = ["ForeignText", "Hypothesis", "contexts", "hypotheses", "premises"]
