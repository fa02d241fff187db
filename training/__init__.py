"""Makes the network of `sketch`: data, training, evaluation, export."""
