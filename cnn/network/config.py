"""The settings of a training, and the three profiles from which users choose."""

from dataclasses import dataclass, field

from cnn.network.augment import AugmentConfig
from cnn.network.losses import LossConfig
from cnn.network.unet import UNetConfig


@dataclass(frozen=True)
class TrainConfig:
    """Everything a training depends on, except its data and its seed."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    epochs: int = 2
    """Epochs a fold; with early stopping, the largest number of them."""
    steps: int = 50
    """Batches an epoch."""
    batch: int = 8
    """Images a batch."""
    accumulate: int = 1
    """Parts into which each device's share of a batch is cut, one after the other, where memory is
    short; what is learned is the same."""
    positive_shares: tuple[float, float] = (0.6, 0.6)
    """Share of images with a lesion in the first epoch and in the last, whatever their share in the
    data; it changes evenly in between."""
    first_epochs: int = 24
    """Epochs of a first training, in which the network sees the X-ray alone: so it learns to read
    the X-ray before it can rely on the evidence map."""
    first_rate: float = 2e-3
    """Peak of the learning rate in the first training."""
    weak_share: float = 0.0
    """Share of images with a weak mask in each batch, on average; never more than their share of
    all images."""
    pretrained: bool = False
    """Whether to begin from the network that ships with the program (`cnn.weights.pretrained`)."""
    learning_rate: float = 3e-4
    """Peak of the learning rate, reached after the warm-up; from there a cosine falls to 0."""
    warmup: float = 0.1
    """Share of all steps in which the learning rate rises."""
    weight_decay: float = 0.02
    """Decoupled weight decay of AdamW (Loshchilov and Hutter, ICLR 2019)."""
    clip: float = 1.0
    """Largest norm of a gradient; longer ones are shortened to it."""
    ema: float = 0.99
    """Decay of the moving average of the weights, a step."""
    patience: int = 0
    """Stop after so many epochs without gain in the challenge's score (`steps.validate`) and keep
    the best epoch's weights; the score is taken on one more fold that is left out of the training.
    0 for a fixed number of epochs."""
    bfloat16: bool = False
    """Whether to compute in bfloat16; weights, their updates and the loss stay in float32."""
    flip: bool = True
    """Whether predictions average an image and its mirror image."""


PROFILES = {
    "demo": TrainConfig(
        unet=UNetConfig(widths=(32, 64, 128)),
        epochs=8,
        steps=25,
        batch=8,
        first_epochs=0,
        learning_rate=3e-3,
        flip=False,
    ),
    "lite": TrainConfig(
        pretrained=True,
        epochs=30,
        first_epochs=0,
        learning_rate=2e-3,
        positive_shares=(0.6, 0.4),
        weak_share=0.8,
    ),
    "full": TrainConfig(
        unet=UNetConfig(size=512, widths=(32, 64, 128, 256, 256), window=17),
        augment=AugmentConfig(
            rotation=12.0,
            scale=0.15,
            shift=0.08,
            gamma=0.3,
            contrast=0.2,
            noise=0.03,
            occlusion=0.3,
        ),
        epochs=60,
        steps=600,
        batch=16,
        positive_shares=(0.8, 0.4),
        first_epochs=0,
        learning_rate=1e-3,
        ema=0.999,
    ),
}

# Fewer lesions than these the network would learn by heart, if it saw them beside the evidence map
# for as long as `lite` does. Then it first learns from the X-ray alone, and from the map shortly.
FEW_LESIONS = 150
OF_FEW_LESIONS = TrainConfig(pretrained=True)


def profile_for(name: str, lesions: int, evidence: bool) -> TrainConfig:
    """The settings of a profile.

    Parameters
    ----------
    name : str
        One of `PROFILES`.
    lesions : int
        Number of images with a known or weak lesion.
    evidence : bool
        Whether the network sees the evidence map, which the long training of `lite` is for.
    """
    is_long = evidence and lesions >= FEW_LESIONS
    return OF_FEW_LESIONS if name == "lite" and not is_long else PROFILES[name]
