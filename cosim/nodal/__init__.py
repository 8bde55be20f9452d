"""The circuit equations of an array, solved by ourselves: the `exact` fidelity."""
