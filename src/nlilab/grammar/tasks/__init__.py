"""What the grammar knows of every task."""

from collections.abc import Mapping

from nlilab.grammar.kinds import Kind
from nlilab.grammar.tasks.bindings import AXG, WSC
from nlilab.grammar.tasks.boolq import BOOLQ
from nlilab.grammar.tasks.cb import CB
from nlilab.grammar.tasks.copa import COPA
from nlilab.grammar.tasks.cwe import CWE
from nlilab.grammar.tasks.inference import GNLI, NLI, RTE
from nlilab.grammar.tasks.multirc import MULTIRC
from nlilab.grammar.tasks.record import RECORD
from nlilab.grammar.tasks.wic import WIC

KINDS: Mapping[str, Kind] = {
    "nli": NLI,
    "gnli": GNLI,
    "rte": RTE,
    "cb": CB,
    "boolq": BOOLQ,
    "multirc": MULTIRC,
    "record": RECORD,
    "wic": WIC,
    "wsc": WSC,
    "axg": AXG,
    "copa": COPA,
    "cwe": CWE,
}
