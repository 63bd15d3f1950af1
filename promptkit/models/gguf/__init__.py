"""GGUF files: their headers, and checks before llama.cpp loads them."""
