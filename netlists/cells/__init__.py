"""Cells, one file each: read cells with ports (wl, bl) and a conductance `g`, dynamic cells."""
