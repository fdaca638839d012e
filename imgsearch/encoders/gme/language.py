"""The language model of Qwen2-VL, up to the state of each prompt's last token.

Computes the same as `Qwen2VLTextModel` with one-dimensional positions and the same weights, as
golden vectors prove. It is a separate implementation because a vector needs less than generated
text: no cache, one rotary axis instead of three, and only one token of each prompt in the last
layer. A norm is one launch instead of eight, and the feed-forward gate is computed in place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from imgsearch.encoders.gme.rotary import turn


class Order(NamedTuple):
    """The position of each token, and the tokens it may attend to.

    Attributes
    ----------
    cos, sin : Tensors of shape (n or 1, tokens, 1, head / 2), float32
    allowed : Tensor of shape (n, 1, tokens, tokens), bool, or None
        None is plain causal attention.
    real : Tensor of shape (n, 1, 1, tokens), bool
        False for padding.
    last : Tensor of shape (n,), int64
        The flat index of each prompt's last token.
    """

    cos: Tensor
    sin: Tensor
    allowed: Tensor | None
    real: Tensor
    last: Tensor


class Reader(torch.nn.Module):
    """Maps token embeddings to one state per prompt.

    Parameters
    ----------
    model : Qwen2VLTextModel
        Its layers and norm are used as they are.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._layer = _run_layer

    def compile_layers(self) -> None:
        """Fuse the operations between matrix products with torch.compile, once for all layers."""
        self._layer = torch.compile(_run_layer, dynamic=False)

    def forward(self, hidden: Tensor, mask: Tensor, last: Tensor, padded_right: bool) -> Tensor:
        """One state per prompt, before the normalisation to unit norm.

        Parameters
        ----------
        hidden : Tensor of shape (n, tokens, width)
        mask : Tensor of shape (n, tokens), int
            1 for tokens, 0 for padding.
        last : Tensor of shape (n,), int64
            The flat index of each prompt's last token.
        padded_right : bool
            All padding comes after the tokens.

        Returns
        -------
        Tensor of shape (n, width)
        """
        order = self._order(mask, last, padded_right)
        *layers, final = self.model.layers
        for layer in layers:
            hidden = self._layer(layer, hidden, order)
        return _norm(self.model.norm, _run_final(final, hidden, order))

    def _order(self, mask: Tensor, last: Tensor, padded_right: bool) -> Order:
        """Number the tokens of each prompt from 0, without its padding.

        Padding on the right follows all real tokens, out of reach of causal attention. It needs no
        mask, so the fastest attention kernels apply.
        """
        count = mask.shape[1]
        places = torch.arange(count, device=mask.device)[None]
        real = mask.bool()[:, None, None]
        allowed = None
        if not padded_right:
            # Padding may attend to itself: a row without any key would be NaN.
            allowed = (real & (places <= places.T)) | (places == places.T)
            places = (mask.cumsum(dim=1) - 1).clamp(min=0)
        rotary = self.model.rotary_emb
        angles = (places[..., None].float() * rotary.inv_freq.float())[:, :, None]
        scale = rotary.attention_scaling
        return Order(angles.cos() * scale, angles.sin() * scale, allowed, real, last)


def _run_layer(layer: Any, hidden: Tensor, order: Order) -> Tensor:
    """One layer over states of shape (n, tokens, width)."""
    normed = _norm(layer.input_layernorm, hidden)
    attention = layer.self_attn
    query = turn(_heads(attention, attention.q_proj(normed)), order.cos, order.sin)
    key, value = _keys_and_values(attention, normed, order)
    mixed = _mix(query, key, value, order.allowed, causal=order.allowed is None)
    hidden = hidden + attention.o_proj(mixed)
    return hidden + _feed(layer.mlp, _norm(layer.post_attention_layernorm, hidden))


def _run_final(layer: Any, hidden: Tensor, order: Order) -> Tensor:
    """The last layer, only for the last token of each prompt: Tensor of shape (n, width).

    It attends to all tokens, but the outputs of the others are not used.
    """
    normed = _norm(layer.input_layernorm, hidden)
    attention = layer.self_attn
    cos, sin = (
        part.expand(len(hidden), -1, -1, -1).flatten(0, 1).index_select(0, order.last)[:, None]
        for part in (order.cos, order.sin)
    )
    final = normed.flatten(0, 1).index_select(0, order.last)[:, None]
    query = turn(_heads(attention, attention.q_proj(final)), cos, sin)
    key, value = _keys_and_values(attention, normed, order)
    mixed = attention.o_proj(_mix(query, key, value, order.real, causal=False))[:, 0]
    hidden = hidden.flatten(0, 1).index_select(0, order.last) + mixed
    return hidden + _feed(layer.mlp, _norm(layer.post_attention_layernorm, hidden))


def _keys_and_values(attention: Any, normed: Tensor, order: Order) -> tuple[Tensor, Tensor]:
    """Keys and values, each of shape (n, tokens, shared heads, head)."""
    key = turn(_heads(attention, attention.k_proj(normed)), order.cos, order.sin)
    return key, _heads(attention, attention.v_proj(normed))


def _mix(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, causal: bool) -> Tensor:
    """Grouped-query attention: Tensor of shape (n, query tokens, width)."""
    groups = query.shape[2] // key.shape[2]
    shares = query.dtype != torch.float32
    if not shares:  # PyTorch has no fast float32 kernel that shares keys between heads
        key, value = (part.repeat_interleave(groups, dim=2) for part in (key, value))
    mixed = functional.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        attn_mask=allowed,
        is_causal=causal,
        enable_gqa=shares,
    )
    return mixed.transpose(1, 2).flatten(2)


def _heads(attention: Any, projected: Tensor) -> Tensor:
    return projected.view(*projected.shape[:-1], -1, attention.head_dim)


def _norm(norm: Any, hidden: Tensor) -> Tensor:
    return functional.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _feed(mlp: Any, normed: Tensor) -> Tensor:
    gate = functional.silu(mlp.gate_proj(normed), inplace=True)
    return mlp.down_proj(gate.mul_(mlp.up_proj(normed)))  # type: ignore[no-any-return]
