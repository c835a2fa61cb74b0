"""FreeLB (Zhu et al. 2020): adversarial training in the space of embeddings, which can break no label."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from transformers import Trainer

from nlilab.model.classifier import input_embeddings
from nlilab.model.settings import FreeLb


class FreeLbTrainer(Trainer):
    """A Trainer whose every step is `ascents` forward and backward passes over one batch (algorithm 1).

    A random perturbation of the input embeddings, of norm `start` a row, goes up the normalised gradient by `step_size`
    after each pass and stays within the L2 ball of radius `limit`; the weights' gradients of all passes are averaged.
    Unlike the paper's, dropout masks are drawn anew for each pass.
    """

    def __init__(self, adversary: FreeLb, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.adversary = adversary

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """The gradients of one optimiser step, accumulated; returns the mean loss."""
        adversary = self.adversary
        model.train()
        inputs = self._prepare_inputs(inputs)
        embeddings = input_embeddings(self.accelerator.unwrap_model(model))
        delta = _random(inputs["attention_mask"], next(embeddings.parameters()).shape[-1], adversary.start)
        total = torch.zeros((), device=self.args.device)
        for _ in range(adversary.ascents):
            delta = delta.detach().requires_grad_(True)
            with _shifted(embeddings, delta), self.compute_loss_context_manager():
                # A copy: the loss takes the labels out of it.
                found = self.compute_loss(model, dict(inputs), num_items_in_batch=num_items_in_batch)
                loss = cast(torch.Tensor, found)
            self.accelerator.backward(loss / adversary.ascents)
            total += loss.detach() / adversary.ascents
            assert delta.grad is not None
            with torch.no_grad():
                delta = delta + adversary.step_size * delta.grad / _norm(delta.grad)
                delta = delta * (adversary.limit / _norm(delta)).clamp(max=1.0)
        return total


@contextmanager
def _shifted(module: torch.nn.Module, delta: torch.Tensor) -> Iterator[None]:
    """Add `delta` to what the module puts out."""
    handle = module.register_forward_hook(lambda _, __, output: output + delta)
    try:
        yield
    finally:
        handle.remove()


def _random(attended: torch.Tensor, dimensions: int, size: float) -> torch.Tensor:
    """A uniform perturbation [rows, tokens, dimensions] of norm `size` for each row, zero on the padding."""
    noise = (torch.rand(*attended.shape, dimensions, device=attended.device) * 2 - 1) * attended[..., None]
    return noise * (size / _norm(noise))


def _norm(rows: torch.Tensor) -> torch.Tensor:
    """The L2 norm of each row's tokens and dimensions together [rows, 1, 1]."""
    norm: torch.Tensor = rows.flatten(1).norm(dim=1).clamp(min=1e-8)
    return norm[:, None, None]
