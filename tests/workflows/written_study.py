"""The study of a network that is written in a second."""

from __future__ import annotations

# Steps of a twentieth of the range, and thresholds that half of a pulse does not reach.
STUDY = """\
[data]
name = "iris"

[network]
hidden = [8]

[train]
epochs = 80

[cell]
g_off_s = 6e-6
g_on_s = 4.9e-5

[verify]
images = 30

[write]
device = "soft_bounds"
parameters = "reram_array_om"
amplitude_v = {up}
amplitude_down_v = -1.5
width_s = 3e-7
levels = 6
"""
