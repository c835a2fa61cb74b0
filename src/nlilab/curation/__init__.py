"""Which rows may be trained on, and what each arm is made of."""
