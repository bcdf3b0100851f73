"""Every door to where rows live: validation, workers, files, clusters, devices.

In comes what a user passes to `fit` or `transform`: arrays, CSR, frames, memory maps,
Zarr and HDF5, dask arrays, tensors. Out come validated rows, sums over them
(`row_sums.py`) and results written slice by slice. This is the only room that imports
joblib, threadpoolctl, dask and the private parts of scikit-learn. Open `inputs.py`
first, then `parallel.py` (where joblib is called) and `row_sums.py` (where learning
reads the data).
"""
