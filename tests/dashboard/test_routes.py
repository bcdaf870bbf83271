"""Our own routes, driven as a server drives them: what they serve, and what they refuse."""

import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from starlette.applications import Starlette

from core.errors import SettingsInvalid
from core.times import ns_of
from dashboard.live import Live
from dashboard.queries import frames
from dashboard.routes import routes
from dashboard.stores import Stores
from migrations.upgrade import upgrade
from tests.dashboard import seed
from tests.dashboard.conftest import NOON
from tests.dashboard.seed import Plant


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def get(stores: Stores, path: str, query: str = "") -> Answer:
    """One GET through the routes, without a network."""
    app = Starlette(routes=routes(stores, Live(stores, clock=lambda: NOON)))
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": quote(path).encode(), "query_string": query.encode(), "root_path": "", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def a_reject(line: Plant) -> frames.Frame:
    with line.database.reading() as connection:
        found = frames.newest(connection, "board-side")
    assert found is not None
    return found


def test_a_picture_is_served_to_be_kept(line: Plant, stores: Stores) -> None:
    answer = get(stores, f"/api/img/{a_reject(line).picture}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.body.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    "key",
    ["../flawline.sqlite", "frame/../../flawline.sqlite", "/etc/passwd", "frame//x", "", ".hidden", "frame/.part-1",
     "frame/" + "a" * 1000, "frame/\x00", "frame/a\\b", "frame/%2e%2e/x"],
)  # fmt: skip
def test_a_key_that_is_none_is_refused(stores: Stores, key: str) -> None:
    assert get(stores, f"/api/img/{key}").status in (400, 404)


def test_the_golden_parts_beside_a_part_are_served(line: Plant, stores: Stores) -> None:
    golden = a_reject(line).golden
    assert golden is not None
    assert get(stores, f"/api/img/{golden.picture}").headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("kind", ["model", "dataset", "heat", "secret"])
def test_only_pictures_are_served(line: Plant, stores: Stores, kind: str) -> None:
    stores.blobs.put(f"{kind}/x/y.jpg", b"\xff\xd8\xff" + b"0" * 20)
    assert get(stores, f"/api/img/{kind}/x/y.jpg").status == 404


def test_what_is_stored_as_a_picture_but_is_none_is_not_served(stores: Stores) -> None:
    stores.blobs.put("inbox/x/page.jpg", b"<script>alert(1)</script>")
    answer = get(stores, "/api/img/inbox/x/page.jpg")
    assert answer.status == 404
    assert b"script" not in answer.body


def test_a_link_out_of_the_picture_folder_leads_nowhere(line: Plant, stores: Stores, tmp_path: Path) -> None:
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"\xff\xd8\xff secret")
    link = line.settings.blobs_path / "inbox" / "link.jpg"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(outside)
    assert get(stores, "/api/img/inbox/link.jpg").status == 404


def test_a_picture_that_went_is_missing_not_an_error(stores: Stores) -> None:
    assert get(stores, "/api/img/thumb/2026/11/24/12/ring-top/1_2_3.jpg").status == 404


def test_heat_is_drawn_when_it_is_asked_for(line: Plant, stores: Stores) -> None:
    frame = a_reject(line)
    answer = get(stores, f"/api/heat/{frame.id.camera}/{frame.id.session}/{frame.id.seq}.png")
    assert answer.headers["content-type"] == "image/png"
    drawn = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert drawn is not None
    assert drawn.shape[2] == 4
    assert 0 < np.count_nonzero(drawn[..., 3]) < drawn[..., 3].size / 4


def test_a_part_without_a_heat_map_has_none(line: Plant, stores: Stores) -> None:
    session = ns_of(line.began)
    assert get(stores, f"/api/heat/ring-top/{session}/79.png").status == 404
    assert get(stores, f"/api/heat/ring-top/{session}/99999.png").status == 404


@pytest.mark.parametrize("route", ["heat/{}.png", "part/{}.json"])
@pytest.mark.parametrize(
    "identity", ["ring-top/x/1", "ring-top/-1/1", "ring-top/1/9999999999999999999", "ring-top/١/1"]
)
def test_an_identity_that_is_none_is_refused(stores: Stores, route: str, identity: str) -> None:
    assert get(stores, f"/api/{route.format(identity)}").status == 400


def test_a_held_part_is_described(line: Plant, stores: Stores) -> None:
    frame = a_reject(line)
    html = get(stores, f"/api/part/{frame.id.camera}/{frame.id.session}/{frame.id.seq}.json").json()["html"]
    assert "Held" in html
    assert f"/api/img/{frame.picture}" in html
    assert frame.part_id in html


def test_the_live_document_has_all_places(stores: Stores) -> None:
    answer = get(stores, "/api/line.json")
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert {"top", "counters", "rejects", "attention", "lost"} <= found["slots"].keys()
    assert "this shift" in found["slots"]["counters"]
    assert "today" in get(stores, "/api/line.json", "period=today").json()["slots"]["counters"]
    assert get(stores, "/api/line.json", "only=top").json()["slots"].keys() == {"top"}


def test_before_there_are_tables_the_page_says_what_to_do(tmp_path: Path) -> None:
    nothing = Stores(seed.settings_in(tmp_path))
    document = get(nothing, "/api/line.json").json()
    assert "no tables yet" in document["slots"]["tile:note"]
    assert "STATE UNKNOWN" in document["slots"]["top"]
    with pytest.raises(SettingsInvalid):
        _ = nothing.database
    upgrade(nothing.settings.database_url)
    assert "No camera is set up yet" in get(nothing, "/api/line.json").json()["slots"]["tile:note"]
    nothing.close()


def test_only_our_own_files_are_assets(stores: Stores) -> None:
    answer = get(stores, "/api/asset/inter.woff2")
    assert answer.headers["content-type"] == "font/woff2"
    assert answer.body.startswith(b"wOF2")
    for name in ("look.css", "..%2fserve.py", "inter-licence.txt"):
        assert get(stores, f"/api/asset/{name}").status == 404


def test_of_models_only_how_the_fixture_lies_is_shown(line: Plant, stores: Stores) -> None:
    shown = get(stores, "/api/img/model/ring-1.fixture.png")
    assert (shown.status, shown.headers["content-type"]) == (200, "image/png")
    line_blobs = line.settings.blobs_path / "model"
    (line_blobs / "ring-9.safetensors").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert get(stores, "/api/img/model/ring-9.safetensors").status == 404
    (line_blobs / "ring-9.fixture.png").write_bytes(b"no picture")
    assert get(stores, "/api/img/model/ring-9.fixture.png").status == 404
    assert get(stores, "/api/img/model/ring-4.fixture.png").status == 404
