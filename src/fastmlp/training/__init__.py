"""What runs once per epoch: the order of rows, learning rates, validation and stopping."""
