"""The comparison of architectures: same patients, same hyper-parameters, same budget."""
