"""What stands around the read of an array: converters, noise, bounds and their management."""
