"""Where nnU-Net's search for external trainers finds ours, by the name of the class."""

from training.segmentation.nnunet.trainer import IchnodeTrainer

__all__ = ["IchnodeTrainer"]
