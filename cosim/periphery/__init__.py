"""What stands around arrays: amplifiers, neurons and converters, noise and bounds."""
