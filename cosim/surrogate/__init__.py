"""The fast differentiable model: closed-form wires, fitted curves for the periphery."""
