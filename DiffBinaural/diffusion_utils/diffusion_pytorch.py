"""The diffusion process: objectives, sampler steps, guidance."""

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import DiffusionConfig
from DiffBinaural.diffusion_utils.schedules import SCHEDULES


def q_sample(x0: Tensor, abar: Tensor, noise: Tensor) -> Tensor:
    """x₀ -> x_t (Ho et al. 2020, Eq. 4)."""
    return abar.sqrt() * x0 + (1 - abar).sqrt() * noise


def noise_from_x0(x: Tensor, x0: Tensor, abar: Tensor) -> Tensor:
    """ε from x_t and x₀: :func:`q_sample` solved for the noise."""
    return (x - abar.sqrt() * x0) / (1 - abar).sqrt()


def x0_from_noise(x: Tensor, noise: Tensor, abar: Tensor) -> Tensor:
    """x₀ from x_t and ε: :func:`q_sample` solved for x₀."""
    return (x - (1 - abar).sqrt() * noise) / abar.sqrt()


def velocity(x0: Tensor, noise: Tensor, abar: Tensor) -> Tensor:
    """v of Salimans & Ho 2022, App. D."""
    return abar.sqrt() * noise - (1 - abar).sqrt() * x0


def x0_from_velocity(x: Tensor, v: Tensor, abar: Tensor) -> Tensor:
    """x₀ from x_t and v (Salimans & Ho 2022, App. D)."""
    return abar.sqrt() * x - (1 - abar).sqrt() * v


def ddim_step(
    x: Tensor, x0: Tensor, abar: Tensor, abar_next: Tensor, *, eta: float = 0.0, fresh: Tensor | float = 0.0
) -> Tensor:
    """x_t -> x_s with predicted x₀ (Song et al. 2021, Eq. 12 and 16); ε is derived from this x₀.

    eta    0 = deterministic; 1 = as random as DDPM
    fresh  standard normal noise, used where eta > 0
    """
    noise = noise_from_x0(x, x0, abar)
    sigma = eta * ((1 - abar_next) / (1 - abar) * (1 - abar / abar_next)).clamp(min=0).sqrt()
    return abar_next.sqrt() * x0 + (1 - abar_next - sigma**2).clamp(min=0).sqrt() * noise + sigma * fresh


def ddpm_step(
    x: Tensor, x0: Tensor, abar: Tensor, abar_next: Tensor, *, fresh: Tensor | float = 0.0
) -> Tensor:
    """x_t -> x_s by the posterior's mean and variance (Ho et al. 2020, Eq. 6 and 7)."""
    alpha = abar / abar_next
    mean = (abar_next.sqrt() * (1 - alpha) * x0 + alpha.sqrt() * (1 - abar_next) * x) / (1 - abar)
    return mean + ((1 - abar_next) / (1 - abar) * (1 - alpha)).sqrt() * fresh


def dpmpp_step(
    x: Tensor, x0: Tensor, abar: Tensor, abar_next: Tensor, *, before: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """x_t -> x_s by DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2): x₀ is extrapolated in half the log-SNR.

    before  x₀ and ᾱ of the previous step; None at the first.  The last step, to clean data, returns x₀
    """
    if abar_next == 1:
        return x0
    now, then = (0.5 * torch.log(a / (1 - a)) for a in (abar, abar_next))
    if before is not None:
        earlier, abar_before = before
        ratio = (now - 0.5 * torch.log(abar_before / (1 - abar_before))) / (then - now)
        x0 = x0 + (x0 - earlier) / (2 * ratio)
    return ((1 - abar_next) / (1 - abar)).sqrt() * x - abar_next.sqrt() * torch.expm1(now - then) * x0


def loss_weight(abar: Tensor, objective: str, kind: str) -> Tensor:
    """Factor of the loss at every step, (T,), for a network that predicts `objective`.

    For the squared error of x₀ these are min(SNR, 5) (min-SNR: Hang et al. 2023, Sec. 3.4) and
    SNR / (1 + SNR) (p2: Choi et al. 2022, Eq. 8, k = γ = 1).  The error of the noise is SNR times as large,
    that of v SNR + 1 times, so these factors are divided by that.
    """
    snr = abar / (1 - abar)
    wanted = {"uniform": None, "min_snr": snr.clamp(max=5.0), "p2": snr / (1 + snr)}[kind]
    if wanted is None:
        return torch.ones_like(snr)
    return wanted / {"pred_noise": snr, "pred_v": snr + 1}.get(objective, torch.ones_like(snr))


def guided(denoise, null_denoise, scale: float):
    """Classifier-free guidance (Ho & Salimans 2022) on x₀; scale 1 is the first predictor, 0 the second."""
    if scale == 1:
        return denoise
    if scale == 0:
        return null_denoise

    def both(x, t):
        free = null_denoise(x, t)
        return free + scale * (denoise(x, t) - free)

    return both


def needs_fresh(sampler: str, eta: float) -> bool:
    """Whether a sampler adds noise in every step."""
    return sampler == "ddpm" or (sampler == "ddim" and eta > 0)


class Diffusion:
    """A process of T steps whose network predicts cfg.objective.

    That is pred_noise, pred_x0, pred_v, or pred_residual: x₀ = base + output.
    """

    def __init__(self, cfg: DiffusionConfig):
        self.cfg, self.timesteps = cfg, cfg.timesteps
        self.abar = SCHEDULES[cfg.schedule](cfg.timesteps)
        self.weight = loss_weight(self.abar, cfg.objective, cfg.loss_weight)
        self.there: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @torch.inference_mode(False)
    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """ᾱ and the loss's weights (T,) on a device; kept there, since to send them a GPU is waited for."""
        if device not in self.there:
            self.there[device] = self.abar.to(device), self.weight.to(device)
        return self.there[device]

    def training_times(self, size: int, random: torch.Generator) -> Tensor:
        """Random integer times (size,), shifted towards noise (Esser et al. 2024, Sec. 5.3.2).

        A network learns to use its condition where the data is hidden.  A level that thousands of cells have
        in common, such as that between the ears, can be seen through much noise; only at the noisiest times
        are the visual features needed.
        """
        u = torch.rand(size, generator=random, dtype=torch.float64)
        shift = self.cfg.time_shift
        return (self.timesteps * shift * u / (1 + (shift - 1) * u)).long()

    def signal_power(self, t: Tensor, like: Tensor) -> Tensor:
        """ᾱ at integer times t (B,), shaped to broadcast against `like` (B, …)."""
        return self.on(t.device)[0][t].to(like.dtype).view(-1, *[1] * (like.ndim - 1))

    def target(self, x0: Tensor, noise: Tensor, abar: Tensor, base: Tensor) -> Tensor:
        """The output that the network is trained to give."""
        return {
            "pred_noise": lambda: noise,
            "pred_x0": lambda: x0,
            "pred_residual": lambda: x0 - base,
            "pred_v": lambda: velocity(x0, noise, abar),
        }[self.cfg.objective]()

    def to_x0(self, output: Tensor, x: Tensor, abar: Tensor, base: Tensor) -> Tensor:
        """x₀ from the network's output, clipped to the data's range [-1, 1]."""
        x0 = {
            "pred_noise": lambda: x0_from_noise(x, output, abar),
            "pred_x0": lambda: output,
            "pred_residual": lambda: base + output,
            "pred_v": lambda: x0_from_velocity(x, output, abar),
        }[self.cfg.objective]()
        return x0.clamp(-1, 1)

    def loss(
        self, net, x0: Tensor, base: Tensor, t: Tensor, noise: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Mean error of net(x_t, t) against its target, weighted by time.

        x0    (B, …)  data in [-1, 1]
        base  broadcasts to x0; used by pred_residual only
        t     (B,)    integer times;  noise: like x0
        weight         factor of each cell's error, broadcasts to x0; None = 1
        ->    (B,)
        """
        return self.error(net(self.noised(x0, t, noise), t), x0, base, t, noise, weight)

    def noised(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t of data (B, …) at integer times (B,)."""
        return q_sample(x0, self.signal_power(t, x0), noise)

    def error(
        self, output: Tensor, x0: Tensor, base: Tensor, t: Tensor, noise: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """:meth:`loss` of a network's output (B, …)."""
        error = output.float() - self.target(x0, noise, self.signal_power(t, x0), base)
        error = error.abs() if self.cfg.loss == "l1" else error**2
        error = error if weight is None else error * weight
        return error.flatten(1).mean(1) * self.on(t.device)[1][t].to(error.dtype)

    def sample_times(self, steps: int) -> list[int]:
        """Descending times for sampling in `steps` steps, from T - 1 on; clean data is not included."""
        if not 1 <= steps <= self.timesteps:
            raise ValueError(f"--sampling_timesteps is {steps}; give 1 to the process's {self.timesteps}")
        return [round(self.timesteps * (steps - k) / steps) - 1 for k in range(steps)]

    def sample(
        self, denoise, x: Tensor, steps: int, *, sampler: str = "ddim", eta: float = 0.0, fresh=None
    ) -> Tensor:
        """Turn noise into data.

        denoise  (x, t) -> estimate of x₀, clipped here to [-1, 1], which guidance may exceed; t is an int
        x        starting noise, left unchanged
        sampler  ddim; ddpm: ancestral; dpm++: DPM-Solver++(2M), deterministic; each with any number of steps
        eta      of ddim
        fresh    () -> standard normal noise like x, needed by ddpm and where eta > 0
        """
        before = None
        for t, following in self.sample_steps(steps):
            x0 = denoise(x, t).clamp(-1, 1)
            noise = fresh() if needs_fresh(sampler, eta) else 0.0
            x, before = self.step(x, x0, t, following, sampler=sampler, eta=eta, fresh=noise, before=before)
        return x

    def sample_steps(self, steps: int) -> list[tuple[int, int | None]]:
        """Pairs of neighbouring :meth:`sample_times`; the last ends in None, clean data."""
        times = self.sample_times(steps)
        return list(zip(times, [*times[1:], None]))

    def step(
        self,
        x: Tensor,
        x0: Tensor,
        t: int,
        following: int | None,
        *,
        sampler: str,
        eta: float = 0.0,
        fresh: Tensor | float = 0.0,
        before: tuple[Tensor, Tensor] | None = None,
    ):
        """One step of :meth:`sample`, cell by cell: a part of x can be stepped by itself.

        before  (x0, abar) from the previous step; None at the first
        ->      x at the following time, (x0, abar)
        """
        abar = self.abar[t]
        after = torch.ones((), dtype=torch.float64) if following is None else self.abar[following]
        if sampler == "dpm++":
            moved = dpmpp_step(x, x0, abar, after, before=before)
        elif sampler == "ddpm":
            moved = ddpm_step(x, x0, abar, after, fresh=fresh)
        else:
            moved = ddim_step(x, x0, abar, after, eta=eta, fresh=fresh)
        return moved.to(x.dtype), (x0, abar)
