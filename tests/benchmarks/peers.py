"""Measure zones by pyradiomics or nyxus; run by features_peers.py in the peer's own Python.

    <python of the peer> peers.py pyradiomics|nyxus <folder of .npz files>

Prints seconds of processor time for each image, one a line.
"""

import time
from pathlib import Path

import numpy as np
from arguments import arguments_or_help

BIN_WIDTH = 0.25
DISTANCES = (1, 4)


def pyradiomics(grey, layers):
    """GLCM, run length and first order of every zone, slice by slice, only the measures we have."""
    import SimpleITK
    from radiomics import firstorder, glcm, glrlm

    image = SimpleITK.GetImageFromArray(grey[None].astype(np.float64))
    classes = (
        (glcm.RadiomicsGLCM, GLCM, {"distances": list(DISTANCES)}),
        (glrlm.RadiomicsGLRLM, GLRLM, {}),
        (firstorder.RadiomicsFirstOrder, FIRST_ORDER, {}),
    )
    for labels in layers:
        for number in np.unique(labels[labels > 0]):
            mask = SimpleITK.GetImageFromArray((labels == number)[None].astype(np.uint8))
            for extractor_class, names, options in classes:
                extractor = extractor_class(
                    image, mask, binWidth=BIN_WIDTH, force2D=True, **options
                )
                for name in names:
                    extractor.enableFeatureByName(name)
                extractor.execute()


GLCM = ("Contrast", "Correlation", "JointEnergy", "JointEntropy", "Id")
GLRLM = (
    "ShortRunEmphasis",
    "LongRunEmphasis",
    "GrayLevelNonUniformityNormalized",
    "RunLengthNonUniformityNormalized",
    "RunPercentage",
    "RunEntropy",
    "LowGrayLevelRunEmphasis",
)
FIRST_ORDER = ("Mean", "Variance", "Skewness", "Kurtosis", "10Percentile", "90Percentile")


def nyxus(grey, layers):
    """The same by nyxus, all zones of a layer in one call, one call for each distance."""
    for extractor in EXTRACTORS:
        for labels in layers:
            # nyxus takes whole numbers; 16 bins are cut from them.
            levels = np.round((np.clip(grey, -2, 2) + 2) * 1000).astype(np.uint32)
            extractor.featurize(levels, labels.astype(np.uint32))


def main(peer, folder):
    """Measure every image of the folder twice and print the second time, which is warm."""
    if peer == "nyxus":
        from nyxus import Nyxus

        glcm = ["GLCM_CONTRAST", "GLCM_CORRELATION", "GLCM_ASM", "GLCM_JE", "GLCM_ID"]
        glrlm = [
            "GLRLM_SRE",
            "GLRLM_LRE",
            "GLRLM_GLNN",
            "GLRLM_RLNN",
            "GLRLM_RP",
            "GLRLM_RE",
            "GLRLM_LGLRE",
        ]
        first = ["MEAN", "VARIANCE", "SKEWNESS", "KURTOSIS", "P10", "P90"]
        common = {"coarse_gray_depth": 16, "n_feature_calc_threads": 1}
        EXTRACTORS.append(Nyxus([*glcm, *glrlm, *first], **common))
        # The second distance: the cost is the same at any, so the default offset serves.
        EXTRACTORS.append(Nyxus(glcm, **common))
    for path in sorted(Path(folder).glob("*.npz")):
        data = np.load(path)
        for _ in range(2):
            began = time.process_time()
            {"pyradiomics": pyradiomics, "nyxus": nyxus}[peer](data["grey"], data["layers"])
            seconds = time.process_time() - began
        print(seconds, flush=True)


EXTRACTORS = []

if __name__ == "__main__":
    main(*arguments_or_help(__doc__ or "", 2))
