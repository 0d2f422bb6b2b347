"""The command `pneumothorax`: answers on single X-rays, and a check of submissions.

``pneumothorax predict x.dcm`` prints the answer in words, with ``--json`` as one line of JSON an
X-ray; folders and zips are streamed. Without ``--run RUN`` the model that ships answers.
``pneumothorax rank`` lists which X-rays to outline next, ``pneumothorax check`` examines a
submission.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from baseline.explanation.wording import percent
from cnn.study.answer import Answer, MaskAnswer, Refusal, schema, to_json
from cnn.submission import check
from features.run import command, files
from features.run.files import UserError
from features.storage import listing, unreadable
from features.storage.names import image_id, shown

if TYPE_CHECKING:
    from cnn.study.predictor import Examination, Predictor


@dataclass(frozen=True)
class Predict:
    """Answer on X-rays, by a run or the model that ships: probability, reasons, mask, quality."""

    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """DICOM, PNG, JPEG or TIFF files, or folders and zips of them."""
    run: Path | None = None
    """Run folder that has come as far as its gate (make gate); without it the model that ships
    answers, which has learned from phantoms alone."""
    json: bool = False
    """Print one line of JSON an X-ray; `pneumothorax schema` prints what is in it."""
    out: Path | None = None
    """Folder that gets an answer for each X-ray: NAME.json."""
    pictures: bool = False
    """Write pictures into that folder too: the page of each X-ray with its reasons painted on it,
    NAME.html, and its mask, NAME.mask.png."""
    details: bool = False
    """Print how the probability came about too, and where the evidence map is hottest."""


@dataclass(frozen=True)
class Rank:
    """List which X-rays to outline next: the most doubtful first."""

    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """DICOM, PNG, JPEG or TIFF files, or folders and zips of them."""
    run: Path | None = None
    """Run folder that has come as far as its gate; without it the model that ships."""
    outlined: Path | None = None
    """A csv of annotations; its images are left out."""
    out: Path | None = None
    """A csv file for the whole list."""
    most: int = 20
    """How many to print."""


@dataclass(frozen=True)
class Schema:
    """Print the JSON Schema of an answer."""


Command = (
    Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Rank, tyro.conf.subcommand("rank")]
    | Annotated[check.Settings, tyro.conf.subcommand("check")]
    | Annotated[Schema, tyro.conf.subcommand("schema")]
)


def predict(settings: Predict) -> None:
    """Answer on the images one by one.

    Raises
    ------
    UserError
        At the end, if an image could not be read: its sentence, and how many there were.
    """
    from cnn.study.predictor import Predictor  # jax and LightGBM take seconds; --help need not wait

    if not settings.images:
        raise UserError("images: name at least one image, or a folder or a zip of them.")
    if settings.pictures and settings.out is None:
        raise UserError("--pictures: say where to write them: --out FOLDER.")
    paths = listing.expanded(settings.images)
    names = [image_id(path.name) for path in paths]
    if settings.out is not None and (
        twice := [n for n, count in Counter(names).items() if count > 1]
    ):
        raise UserError(
            f"--out: {shown(repr(twice[0]))} is the name of two images; their answers would take "
            "one another's place, so rename one, or print lines (--json)."
        )
    predictor = Predictor.load(settings.run)
    refusals = []
    for path in command.progress(paths, "answering") if len(paths) > 1 else paths:
        try:
            examination = predictor.examine(path)
        except unreadable.UnreadableImage as error:
            refusals.append(str(error))
            if settings.json:
                print(to_json(Refusal(str(path), str(error))), flush=True)
            continue
        hand_out(examination, predictor, settings)
    if len(refusals) == len(paths) == 1:
        raise UserError(*refusals)
    if refusals:
        why = () if settings.json else refusals  # each has its line of JSON
        raise UserError(*why, f"{len(refusals)} of {len(paths)} images have no answer.")


def hand_out(examination: "Examination", predictor: "Predictor", settings: Predict) -> None:
    """Print an answer, and write what was asked for."""
    result = examination.answer
    if settings.json:
        print(to_json(result), flush=True)
    else:
        show(result, Console(), settings.details)
    if settings.out is None:
        return
    if settings.pictures:
        from cnn.study import pictures  # matplotlib takes a second

        pictures.write(examination, predictor, settings.out)
    files.write_text(settings.out / f"{result.id}.json", to_json(result) + "\n")


def rank(settings: Rank) -> None:
    """Print the list, and write it where that was asked for.

    Raises
    ------
    UserError
        If there is no image, or, at the end, if some could not be read.
    """
    from cnn.study import ranking
    from cnn.study.predictor import Predictor

    if not settings.images:
        raise UserError("images: name at least one image, or a folder or a zip of them.")
    known = frozenset() if settings.outlined is None else ranking.outlined(settings.outlined)
    everything = list(listing.expanded(settings.images))
    paths = [path for path in everything if image_id(path.name) not in known]
    predictor = Predictor.load(settings.run)
    images, refusals = [], []
    for path in command.progress(paths, "ranking"):
        try:
            image = ranking.ranked(predictor.examine(path))
        except unreadable.UnreadableImage as error:
            refusals.append(str(error))
            continue
        if image is not None:
            images.append(image)
    if settings.out is not None:
        ranking.write(images, settings.out)
    for image in ranking.in_order(images)[: settings.most]:
        print(f"{image.doubt:.4f}  {shown(image.id)}: {image.headline}")
    outlined = len(everything) - len(paths)
    print(f"{len(images)} of {len(paths)} X-rays ranked, {outlined} outlined already.")
    if refusals:
        raise UserError(*refusals)


def show(result: Answer, console: Console, details: bool = False) -> None:
    """Print an answer in words."""

    def say(text: str, style: str = "") -> None:
        console.print(text, markup=False, style=style, soft_wrap=True)

    say(f"{shown(result.id)}: {result.headline}", "bold")
    if result.quality.words:
        say(f"Image quality: {result.quality.words}.", "bold")
    for sentence in (*result.reasons, *(result.details if details else ())):
        say(f"- {sentence.text}")
    if result.mask.kept:
        say(_mask_in_words(result.mask))
    low, high = (percent(bound) for bound in vars(result.probability_range).values())
    say(f"The probability may be {low} to {high} (Venn-Abers).")
    for note in (*result.quality.notes, *result.notes):
        say(note, "dim")
    model = result.model
    say(f"Model {model.name} ({model.digest}), {result.milliseconds:.0f} ms. {model.about}", "dim")


def _mask_in_words(mask: MaskAnswer) -> str:
    """Size and place of a mask, and what it may be trusted for."""
    area = f"{mask.area_cm2:.1f} cm2, " if mask.area_cm2 is not None else ""
    where = f", {mask.share_of_lung:.0%} of the {mask.side} lung" if mask.side else ""
    text = f"Mask: {area}{mask.area:.1%} of the picture{where}."
    if mask.expected_dice is None or mask.dice_at_least is None or mask.dice_level is None:
        return text
    return (
        f"{text} Expect it to agree with a reader's by a Dice of {mask.expected_dice:.2f}, and in "
        f"{mask.dice_level:.0%} of such masks by {mask.dice_at_least:.2f} or more."
    )


def main(settings: Command) -> None:
    """Carry out one of the commands."""
    if isinstance(settings, Predict):
        predict(settings)
    elif isinstance(settings, Rank):
        rank(settings)
    elif isinstance(settings, check.Settings):
        check.main(settings)
    else:
        print(json.dumps(schema(), indent=1))


if __name__ == "__main__":
    command.run(main, writes=False)
