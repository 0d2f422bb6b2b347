"""Starts the service: checks what it is told, loads the model, listens."""

import ipaddress
import logging
import os
import socket

import uvicorn

from baseline.explanation.trained_run import TrainedRun
from baseline.gate.rules import source
from cnn.page import drawing, samples, ward
from cnn.page.outlines import Outlines
from cnn.study.model import AnsweringModel
from cnn.study.predictor import Predictor
from cnn.web import app
from cnn.web.service import ModelFacts, Service
from cnn.web.settings import MEBIBYTE, Limits, Serve
from cnn.web.token import SHORTEST, Token
from features.run import interrupts
from features.run.files import UserError

VARIABLE = "PNEUMOTHORAX_TOKEN"
# Requests that wait to be heard, and seconds for the last answers once the service is to end.
BACKLOG, GRACE = 128, 5


def serve(settings: Serve) -> None:
    """Answer until the process is ended.

    Raises
    ------
    UserError
        If the settings, the port or the run cannot be used.
    """
    limits, token = limits_of(settings), token_of(settings)
    outlines = None if settings.outlines is None else Outlines(settings.outlines)
    listening = listen(settings.host, settings.port)
    try:
        predictor = Predictor.load(settings.run)
        service = Service(
            predictor,
            samples.draw(),
            ward.of_model(predictor.model),
            facts(predictor.model),
            limits,
            outlines,
        )
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        name = predictor.model.name
        print(f"http://{shown}:{port}/ answers by {name}; Ctrl-C ends it.", flush=True)
        log_nothing()
        config = uvicorn.Config(
            app.build(service, token),
            log_level="warning",
            access_log=False,  # addresses of studies are secrets
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        interrupts.leave_to_the_server()
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()


def log_nothing() -> None:
    """Let no library log: pydicom quotes tags, and the parser of forms what it cannot parse.

    Uvicorn's own loggers stay, which know no more than addresses, and only speak of trouble.
    """
    logging.getLogger().handlers[:] = [logging.NullHandler()]


def facts(model: AnsweringModel) -> ModelFacts:
    """What the page says of a model."""
    policy = model.gate.default
    cut_from = drawing.SOURCES[source(policy)]
    trained = model.models if isinstance(model.models, TrainedRun) else None
    return ModelFacts(
        auc="" if trained is None else str(trained.metrics.out_of_fold.auc),
        policy=f"{policy} (masks cut from the {cut_from})",
        has_unet=bool(model.drawing),
    )


def limits_of(settings: Serve) -> Limits:
    """The limits that the settings ask for.

    Raises
    ------
    UserError
        If one is no sensible number.
    """
    if settings.largest < 1:
        raise UserError(f"--largest is {settings.largest}; give at least 1 megabyte.")
    if not settings.keep > 0:
        raise UserError(f"--keep is {settings.keep}; give a number of minutes above 0.")
    return Limits(upload_bytes=settings.largest * MEBIBYTE, keep_seconds=60 * settings.keep)


def token_of(settings: Serve) -> Token | None:
    """The token, which is needed where other machines can reach the service.

    Raises
    ------
    UserError
        If it is missing or short.
    """
    secret = settings.token or os.environ.get(VARIABLE)
    if secret is not None and len(secret) < SHORTEST:
        raise UserError(
            f"--token has {len(secret)} characters, but must have at least {SHORTEST}; "
            "`openssl rand -hex 16` makes one."
        )
    if secret is None and not is_loopback(settings.host):
        raise UserError(
            f"--host {settings.host} can be reached from other machines, so a token is needed; "
            f"give --token or set {VARIABLE}, or leave --host out."
        )
    return None if secret is None else Token(secret)


def is_loopback(host: str) -> bool:
    """Whether an address is heard on this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that a port in use is told before the model is loaded.

    Raises
    ------
    UserError
        If the system does not give it.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port is {port}, but ports are 0 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(
            f"--port {port} of {host} cannot be used ({error.strerror or error}); end what listens "
            "there, or give another --port."
        ) from None
