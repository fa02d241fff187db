"""Bytes to samples and back: decode, encode, resample, measure. No models here."""
