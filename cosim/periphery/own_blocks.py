"""What a fidelity does with blocks that it has no equations for: it refuses them by name."""

from __future__ import annotations

from compact_models.errors import InputError
from netlists.hardware import Hardware


def without_equations(hardware: Hardware) -> str:
    """Why `exact` and `ideal` say nothing of a chip, in words; empty where they do."""
    if not hardware.blocks:
        return ""
    named = ", ".join(f"{role} {block.name}" for role, block in hardware.blocks.items())
    return f"exact and ideal have no equations for the user's own block ({named})"


def refuse_own_blocks(hardware: Hardware, fidelity: str) -> None:
    """Refuses a chip with blocks of the user's own.

    Args:
        hardware: the chip's description.
        fidelity: the fidelity that knows our blocks only.

    Raises:
        InputError: the chip has blocks of the user's own.
    """
    if hardware.blocks:
        roles = " and ".join(repr(role) for role in hardware.blocks)
        raise InputError(
            f"the block {roles} is the user's own: {fidelity} has no equations for it",
            where="hardware.blocks",
            value=", ".join(block.name for block in hardware.blocks.values()),
            hint="use surrogate or spice",
        )
