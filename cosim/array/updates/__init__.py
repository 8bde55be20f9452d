"""What pulses do to an array, one fidelity a file."""
