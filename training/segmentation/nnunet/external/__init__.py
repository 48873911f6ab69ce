"""The folder that nnU-Net searches for our trainer (``nnUNet_extTrainer``)."""
