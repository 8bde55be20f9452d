"""How the lines of an array come to rest: capacitances and transients of linear networks."""
