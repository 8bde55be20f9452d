"""One device a file, found by its `MODEL`; adding a device is adding a file."""
