"""What every circuit obeys: Kirchhoff's laws and passivity, for checks of results."""
