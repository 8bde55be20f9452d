"""A device as a synapse: what equal pulses make of its weight."""
