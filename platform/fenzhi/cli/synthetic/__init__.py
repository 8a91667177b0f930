"""A synthetic province (合成数据): everything in it is invented, deterministic by its seed, and says so."""
