"""The first two principal components of stored features by NumPy's singular value decomposition, in f64.

numpy_pca.py FEATURES.safetensors OUT.safetensors: writes "points" (N, 2) and "explained" (2,).
"""
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

features = load_file(sys.argv[1])["features"].astype(np.float64)
rows = features.reshape(len(features), -1)
rows -= rows.mean(axis=0)
u, s, _ = np.linalg.svd(rows, full_matrices=False)
points = u[:, :2] * s[:2]
# The sign is free: the largest value along each component is above 0.
points *= np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
save_file(
    {"points": np.ascontiguousarray(points), "explained": s[:2] ** 2 / (s**2).sum()},
    sys.argv[2],
)
