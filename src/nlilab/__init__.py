"""A data-versioned laboratory: does this training data make a small language model robust?"""
