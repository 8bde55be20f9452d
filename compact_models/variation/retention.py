"""Retention: how a programmed conductance changes while nothing is applied.

Power law: Karpov et al., J. Appl. Phys. 102 (2007) 124503, doi 10.1063/1.2825650 (amorphous phase
of phase-change memory). Thermally activated relaxation: a stretched exponential whose time constant
follows Arrhenius' law.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from compact_models.errors import InputError
from compact_models.spec import Spec
from compact_models.variation.seeds import Array, component_rng

# k/e: energies in electronvolts are given as volts.
BOLTZMANN_V_PER_K = 8.617333262e-5


class PowerLawDrift(Spec):
    """G(t) = G(t_0) (t / t_0)^-nu, with an exponent of every cell's own."""

    nu: float = Field(0.05, description="mean of the exponent; positive: conductance falls")
    sigma_nu: float = Field(0.0, ge=0, description="standard deviation of the exponent over cells")
    start_s: float = Field(1.0, gt=0, description="t_0, the time after programming it is known [s]")

    def after(
        self, conductance_s: Array, time_s: float, *, seed: int, sample: int, path: str
    ) -> Array:
        """The conductances at `time_s` after programming, [...], from those at `start_s`.

        Raises:
            InputError: the time lies before `start_s`: the law says nothing there.
        """
        _check_time(time_s, self.start_s)
        score = component_rng(seed, sample, f"{path}/drift").standard_normal(conductance_s.shape)
        exponent = self.nu + self.sigma_nu * score
        return np.asarray(conductance_s * (time_s / self.start_s) ** -exponent)


class ArrheniusDecay(Spec):
    """G(t) = G_end + (G(0) - G_end) exp(-(t / tau)^beta), tau = tau_ref at T_ref by Arrhenius."""

    end_s: float = Field(0.0, ge=0, description="conductance towards which a cell relaxes [S]")
    tau_s: float = Field(gt=0, description="time constant at the reference temperature [s]")
    reference_k: float = Field(358.15, gt=0, description="temperature at which tau_s is known [K]")
    activation_v: float = Field(1.0, ge=0, le=10, description="activation energy [eV]")
    sigma_activation_v: float = Field(
        0.0, ge=0, le=1, description="standard deviation of the activation energy over cells [eV]"
    )
    beta: float = Field(1.0, gt=0, le=1, description="stretching exponent")

    def after(
        self,
        conductance_s: Array,
        time_s: float,
        temperature_k: float,
        *,
        seed: int,
        sample: int,
        path: str,
    ) -> Array:
        """The conductances after `time_s` at `temperature_k`, [...].

        A cell's activation energy lies off the mean by what it is drawn; the prefactor, tau at
        infinite temperature, is the same for all cells.

        Raises:
            InputError: the time is negative or the temperature not positive.
        """
        _check_time(time_s, 0.0)
        if not 0 < temperature_k < np.inf:
            raise InputError(
                "the temperature must be positive",
                where="temperature_k",
                value=temperature_k,
                allowed="> 0 K",
            )
        score = component_rng(seed, sample, f"{path}/decay").standard_normal(conductance_s.shape)
        energy_v = self.activation_v + self.sigma_activation_v * score
        exponent = energy_v / (BOLTZMANN_V_PER_K * temperature_k) - self.activation_v / (
            BOLTZMANN_V_PER_K * self.reference_k
        )
        with np.errstate(over="ignore"):  # an endless time constant is one that does not decay
            passed = (time_s / self.tau_s * np.exp(-exponent)) ** self.beta
        return np.asarray(self.end_s + (conductance_s - self.end_s) * np.exp(-passed))


def _check_time(time_s: float, least_s: float) -> None:
    if not least_s <= time_s < np.inf:
        raise InputError(
            "there is no retention at this time",
            where="time_s",
            value=time_s,
            allowed=f">= {least_s:g} s",
        )
