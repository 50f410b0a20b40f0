"""Synthetic data, trainers and evaluation harnesses; never imported by the app."""
