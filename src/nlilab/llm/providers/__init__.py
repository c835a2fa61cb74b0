"""One small file per provider; the client imports the one that a generator names."""
