"""TarGEN's four steps: contexts, instance seeds, label-constrained instances, self-correction."""
