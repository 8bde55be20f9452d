"""What a circuit designer wants to see of one device, as numbers; drawn in `workflows/device`."""
