"""What runs once per call: where rows come from. Tables of any kind become numbers and codes."""
