"""What spiceloop measures of itself: `./run bench [NAME ...] [--write]`."""
