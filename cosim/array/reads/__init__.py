"""How an array is read, one fidelity a file."""
