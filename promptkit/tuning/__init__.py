"""LoRA adapters trained from GGUF models: weights, prompts as token trees, training, checking."""
