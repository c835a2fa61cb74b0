"""What the grammar knows of every task."""

from collections.abc import Mapping

from nlilab.llm.grammar.kinds import Kind
from nlilab.llm.grammar.tasks.bindings import AXG, WSC
from nlilab.llm.grammar.tasks.boolq import BOOLQ
from nlilab.llm.grammar.tasks.cb import CB
from nlilab.llm.grammar.tasks.copa import COPA
from nlilab.llm.grammar.tasks.cwe import CWE
from nlilab.llm.grammar.tasks.inference import GNLI, NLI, RTE
from nlilab.llm.grammar.tasks.multirc import MULTIRC
from nlilab.llm.grammar.tasks.record import RECORD
from nlilab.llm.grammar.tasks.wic import WIC

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
