"""Official SuperGLUE files whose rows are nested (Wang et al. 2019): WSC's spans, MultiRC's and ReCoRD's questions.

JSON lines as on super.gluebenchmark.com, or the flat parquet tables of the hub (aps/super_glue). The rows that come out
have the fields of the task of that name; the other tasks' files are flat and need no code.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from nlilab.core.errors import UserError
from nlilab.core.files import read_jsonl

Row = dict[str, Any]
HIDDEN = "-1"  # the label of rows without one


def wsc(file: Path) -> pd.DataFrame:
    """Rows text (the pronoun between asterisks), noun_phrase, label, group (the text)."""
    rows = []
    for place, row in _records(file):
        span = row.get("target", row)
        text = _marked(place, row["text"], int(span["span2_index"]), span["span2_text"])
        rows.append(
            {"text": text, "noun_phrase": span["span1_text"], "label": _truth(row["label"]), "group": row["text"]}
        )
    return pd.DataFrame(rows)


def multirc(file: Path) -> pd.DataFrame:
    """Rows passage, question, option, label, group (the question): one for each option."""
    rows = []
    for _, row in _records(file):
        if "paragraph" in row:  # the hub's table: an option in each row
            number = f"{row['idx']['paragraph']}-{row['idx']['question']}"
            rows.append(_option(row["paragraph"], row["question"], row["answer"], row["label"], number))
            continue
        for question in row["passage"]["questions"]:
            number = f"{row['idx']}-{question['idx']}"
            for answer in question["answers"]:
                text = row["passage"]["text"]
                rows.append(_option(text, question["question"], answer["text"], answer["label"], number))
    return pd.DataFrame(rows)


def record(file: Path) -> pd.DataFrame:
    """Rows passage, query, entity, option (the same), label, group (the question): one for each different entity."""
    rows = []
    for number, (_, row) in enumerate(_records(file)):
        for passage, query, entities, answers in _questions(row):
            hidden = not answers  # a test set's question: nothing says which entity is right
            for entity in dict.fromkeys([*entities, *answers]):
                rows.append(
                    {
                        "passage": passage,
                        "query": query,
                        "entity": entity,
                        "option": entity,
                        "label": HIDDEN if hidden else str(entity in answers).lower(),
                        "group": f"{number}-{query}",
                    }
                )
    return pd.DataFrame(rows)


def _questions(row: Row) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """(passage, query, entities, answers) of a ReCoRD record."""
    if "query" in row:
        yield row["passage"], row["query"], list(row["entities"]), list(row["answers"])
        return
    text = row["passage"]["text"]
    entities = [text[span["start"] : span["end"] + 1] for span in row["passage"]["entities"]]
    for question in row["qas"]:
        yield text, question["query"], entities, [answer["text"] for answer in question.get("answers", [])]


def _option(passage: str, question: str, option: str, label: Any, number: str) -> Row:
    return {"passage": passage, "question": question, "option": option, "label": _truth(label), "group": number}


def _truth(label: Any) -> str:
    """true or false for 1 and 0; anything else as it stands, such as -1, by which test sets hide their labels."""
    return str(bool(label)).lower() if label in (0, 1) else str(label)


def _marked(place: str, text: str, index: int, pronoun: str) -> str:
    """The text with the pronoun at this word between asterisks."""
    words = text.split()
    count = len(pronoun.split())
    found = " ".join(words[index : index + count])
    if pronoun not in found:
        raise UserError(f"{place}: word {index} of the text is {found!r}, expected {pronoun!r}; is this a WSC file?")
    words[index : index + count] = [found.replace(pronoun, f"*{pronoun}*", 1)]
    return " ".join(words)


def _records(file: Path) -> Iterator[tuple[str, Row]]:
    if file.suffix == ".parquet":
        for number, row in enumerate(pd.read_parquet(file).to_dict("records"), start=1):
            yield f"{file}, row {number}", {str(key): value for key, value in row.items()}
        return
    yield from read_jsonl(file)


def axg(file: Path) -> pd.DataFrame:
    """Rows premise, hypothesis, label, group: two that differ by a pronoun's gender follow each other."""
    rows = [{**row, "group": str(number // 2)} for number, (_, row) in enumerate(_records(file))]
    return pd.DataFrame(rows)[["premise", "hypothesis", "label", "group"]]


READERS = {"wsc": wsc, "multirc": multirc, "record": record, "axg": axg}
