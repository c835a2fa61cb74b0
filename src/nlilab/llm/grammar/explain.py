"""One sentence that says why a hypothesis has its label."""

# What the phenomenon concerns, as the subject of a sentence.
_MATTER = {
    "hypernym": "a more general word for what the premise says",
    "synonym": "another wording of what the premise says",
    "repetition": "something that the premise speaks of in the same words",
    "antonym": "a word and its opposite",
    "negation": "a negation",
    "quantifier": "how many of a group are meant",
    "numeral": "a number",
    "conjunction": "two claims joined by 'and'",
    "disjunction": "two claims joined by 'or'",
    "voice": "the active or passive voice",
    "argument swap": "who does what to whom",
    "relative clause": "a relative clause",
    "modality": "what may, must or cannot be",
    "factive": "a verb that tells whether something happened or is only thought",
    "conditional": "a condition",
    "time order": "what came before what",
    "modifier added": "a detail that is added",
    "modifier dropped": "a detail that is left out",
    "modifier changed": "a detail that is changed",
    "other activity": "another activity",
    "other subject": "another person",
    "comparison": "a comparison",
    "place": "where somebody is",
}
_VERDICT = {
    "entailment": "and whenever the premise is true, the hypothesis is true too",
    "neutral": "and the premise leaves open whether the hypothesis is true",
    "contradiction": "and the hypothesis cannot be true if the premise is",
}
_OWN = {
    ("conditional", "neutral"): "The premise says this only under a condition, so it may or may not hold.",
    ("disjunction", "neutral"): "The premise and the hypothesis offer alternatives, and it is open which one holds.",
    ("modifier added", "neutral"): "The hypothesis adds a detail about which the premise says nothing.",
    ("modifier dropped", "entailment"): "The hypothesis only leaves out a detail of the premise.",
    ("modifier changed", "contradiction"): "The hypothesis changes a detail that the premise states.",
    ("other activity", "contradiction"): "Somebody who does what the premise says is not doing this instead.",
    ("synonym", "entailment"): "The hypothesis says the same in other words.",
    ("hypernym", "entailment"): "The hypothesis says the same in more general words.",
    ("antonym", "contradiction"): "The hypothesis says the opposite of what the premise says.",
}


def explanation(phenomenon: str, label: str) -> str:
    """The reason for this label."""
    own = _OWN.get((phenomenon, label))
    return own or f"The hypothesis turns on {_MATTER[phenomenon]}, {_VERDICT[label]}."


def reason(phenomenon: str, text: str, verdict: str) -> str:
    """The reason why something that is said or asked of a passage fits it or not."""
    return f"The {text} turns on {_MATTER[phenomenon].replace('premise', 'passage')}; {verdict}."
