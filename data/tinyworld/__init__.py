"""The written world that the embedded models are trained on, and the scripts that train them."""
