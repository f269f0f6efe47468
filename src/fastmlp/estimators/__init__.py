"""What runs once per call: parameters, validation, labels and fitted attributes, in scikit-learn's ways."""
