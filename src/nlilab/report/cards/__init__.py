"""Hugging Face cards of what this project makes: a dataset's and a model's, from the files that the pipeline wrote."""
