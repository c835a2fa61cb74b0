"""The command `nlilab`: what is not a pipeline stage."""
