"""Implementations of the same model: ours, pyccl's and others', their values and times."""
