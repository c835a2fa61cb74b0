"""Rows perturbed where a model's gradient points."""
