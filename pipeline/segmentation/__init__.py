"""From a CT volume to the voxels that are hematoma."""
