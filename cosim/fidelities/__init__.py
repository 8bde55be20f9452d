"""The four fidelities, one file each: ideal, surrogate, exact and spice."""
