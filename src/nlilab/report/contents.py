"""The whole report, in the order in which it is read: one list of sections, from which every writer takes its own."""

from nlilab.report import accuracy, attack, beside, making, set_cards, verdicts
from nlilab.report.facts import Facts
from nlilab.report.tables import Report
from nlilab.report.texts import tell

TITLE = "Does this training data make the model robust?"


def contents(facts: Facts) -> Report:
    """Everything that is said of a run."""
    sections = [
        verdicts.verdicts(facts),
        accuracy.accuracy(facts),
        verdicts.pairs(facts),
        accuracy.cells(facts),
        accuracy.slices(facts),
        beside.section(facts),
        attack.section(facts),
        making.data(facts),
        set_cards.section(facts),
        making.cost(facts),
        making.judgement(facts),
        making.training(facts),
        making.suites(facts),
        *making.end(facts),
    ]
    return Report(TITLE, tell("lead", facts), sections)
