"""Models: the contract, GGUF models by llama.cpp, embedders, and a fake for tests."""
