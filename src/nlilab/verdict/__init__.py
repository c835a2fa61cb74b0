"""From predictions to a verdict: metrics, slices, intervals, tests. No model is needed here."""
