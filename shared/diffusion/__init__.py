"""Diffusion: noise schedule and sampler of networks that predict the clean signal."""
