"""`spiceloop device`: the models there are, one device under a stimulus, its netlist."""
