"""The segmentation networks, one file each, configured by the model card."""
