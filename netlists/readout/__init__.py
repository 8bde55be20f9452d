"""What ends a bit line: amplifiers that turn its current into a voltage."""
