"""Update tables: what pulses of one height do to a device, measured in ngspice or torch."""
