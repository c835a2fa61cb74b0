"""What a dataset is like: diversity, artefacts, entities, leakage, difficulty; every figure with its interval."""
