"""The local web server of the grading page: this machine alone, a token, no third party, one line for each mark."""

import hmac
import logging
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, make_response, request, send_from_directory
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from nlilab.core.errors import UserError
from nlilab.core.files import digest
from nlilab.grading.store import GRADES, INVALID, Grades, Rows, read_event

HOST = "127.0.0.1"
HERE = Path(__file__).parent
LARGEST_REQUEST = 64 * 1024  # bytes: a mark with a long note
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def grading_app(folder: Path, rows: Rows, grader: str | None, token: str, port: int) -> Flask:
    """The page and what it asks for; the grader is `grader`, or whom the page names.

    What is sent of a row tells neither who wrote it nor which labels it has had.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST
    app.before_request(_guard(token, port))
    app.after_request(_secured)
    app.register_error_handler(HTTPException, lambda error: (f"{error.description}", error.code or 500))
    app.register_error_handler(UserError, lambda error: (str(error), 400))
    app.register_error_handler(OSError, lambda error: (f"not saved: {error}", 500))

    def grades() -> Grades:
        return Grades(folder, grader or request.args.get("grader", ""), rows)

    @app.get("/")
    def page() -> Response:
        response = make_response(send_from_directory(HERE, "page.html"))
        response.set_cookie(_cookie(port), token, httponly=True, samesite="Strict")
        return response

    @app.get("/page.<kind>")
    def asset(kind: str) -> Response:
        return send_from_directory(HERE, f"page.{kind}") if kind in ("css", "js") else abort(404)

    @app.get("/favicon.ico")
    def icon() -> tuple[str, int]:
        return "", 204

    @app.get("/rows")
    def sample() -> Response:
        if grader is None and "grader" not in request.args:
            return jsonify({"grader": None})
        name = grades().path.stem
        order = sorted(rows.values(), key=lambda row: digest(name, row.id))
        shown = [row.model_dump(include={"id", "title", "fields", "labels"}) for row in order]
        meaning = [{"name": name, "word": word, "means": means} for name, (word, means) in GRADES.items()]
        return jsonify(
            {"grader": name, "fixed": grader is not None, "rows": shown, "grades": meaning, "invalid": INVALID}
        )

    @app.route("/events", methods=["GET", "POST"])
    def events() -> Response:
        mine = grades()
        if request.method == "POST":
            mine.append(read_event(request.get_json(), rows, "this mark"))
        known = request.args.get("seen", 0, type=int)
        every = mine.events()
        return jsonify({"events": [event.model_dump() for event in every[known:]], "seen": len(every)})

    return app


def _cookie(port: int) -> str:
    """Cookies are shared by all ports of a host, so each server has a name of its own."""
    return f"nlilab-{port}"


def _guard(token: str, port: int) -> Callable[[], Any]:
    hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    def check() -> None:
        if request.host not in hosts:  # a foreign name that was made to point here (DNS rebinding)
            abort(403, "this server answers to its own address only")
        shown = request.args.get("token") or request.cookies.get(_cookie(port), "")
        if not hmac.compare_digest(shown.encode(), token.encode()):
            abort(403, "open the address that `nlilab grade` printed, with its token")
        if request.method not in ("GET", "HEAD") and request.headers.get("Origin") != f"http://{request.host}":
            abort(403, "only the grading page itself may send marks")

    return check


def _secured(response: Response) -> Response:
    response.headers.update(HEADERS)
    if response.status_code >= 400:
        response.content_type = "text/plain; charset=utf-8"
    return response


def serve(folder: Path, rows: Rows, grader: str | None, token: str, port: int = 0) -> BaseWSGIServer:
    """A threaded server bound to the loopback interface, not yet running; port 0 takes a free one."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # its log of requests would hold the token
    with closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"--port {port} cannot be had ({error}): leave it out, and a free one is taken") from error
        listener.listen()
        port = listener.getsockname()[1]
        app = grading_app(folder, rows, grader, token, port)
        return make_server(HOST, port, app, threaded=True, fd=listener.fileno())
