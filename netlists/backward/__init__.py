"""The backward phase of a chip: errors drive the bit lines, word lines carry them to the inputs."""
