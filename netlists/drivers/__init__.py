"""Word-line drivers: one file each."""
