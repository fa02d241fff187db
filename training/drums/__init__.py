"""Makes the network that hears drums: data, training, export, evaluation."""
