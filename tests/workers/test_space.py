"""The free-space guard: pictures of passed parts go first, evidence never, and who looks after the line is told."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.services.plant import Services
from core.alarms import Kind as Alarm
from core.blobs.file import FileBlobs
from core.blobs.hours import hours_before
from core.blobs.keys import Kind, frame_key
from core.blobs.protocol import BlobStore, Disk
from core.blobs.s3 import S3Blobs
from core.messages import FrameId
from core.settings import BlobSettings, Settings
from core.times import ns_of
from tests.core.conftest import small_disk  # noqa: F401 - a fixture
from tests.servers import s3_of
from workers.space import Guard, Meter, Pressure, fullness

NOON = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
NEVER = (Kind.FRAME, Kind.INBOX, Kind.DATASET, Kind.MODEL)
PASSED = (Kind.RING, Kind.SAMPLE)
Blob = tuple[Kind, int, int]  # kind, age in hours, size


class Folder(FileBlobs):
    """A picture folder on a disk of its own of so many bytes."""

    def __init__(self, root: Path, total: int) -> None:
        super().__init__(root)
        self.total = total
        self.others = 0

    def disk(self) -> Disk:
        """What the blobs take, and others."""
        return Disk(self.total, self.others + sum(self.size(key) for key in self.keys()))


class Clock:
    """Time that a test moves by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def fill(store: BlobStore, blobs: Iterable[Blob]) -> dict[str, Blob]:
    """Put blobs; a dataset or model has a name without hours."""
    put: dict[str, Blob] = {}
    for number, (kind, age, size) in enumerate(blobs):
        at = ns_of(NOON - timedelta(hours=age))
        flat = kind in (Kind.DATASET, Kind.MODEL)
        key = f"{kind}/{number}.bin" if flat else frame_key(kind, FrameId("top", 1, number), at, "jpg")
        store.put(key, bytes(size), durable=False)
        put[key] = (kind, age, size)
    return put


def guard(store: BlobStore, *, most: int = 0, now: Callable[[], datetime] = lambda: NOON) -> Guard:
    return Guard(store, BlobSettings(full_percent=50, most_bytes=most), now=now)


a_blob = st.tuples(st.sampled_from(list(Kind)), st.integers(0, 60), st.integers(1, 9))


@settings(max_examples=80, deadline=None)
@given(blobs=st.lists(a_blob, max_size=12), total=st.integers(1, 120))
def test_whatever_the_fill_no_evidence_goes_before_any_picture_of_a_pass(blobs: list[Blob], total: int) -> None:
    with TemporaryDirectory() as folder:
        store = Folder(Path(folder), total)
        put = fill(store, blobs)
        before = store.disk().used
        limit = round(total / 2)
        dropped = guard(store).relieve()
        left = set(store.keys())
        gone = [put[key] for key in put.keys() - left]
        assert dropped == len(gone)
        assert not [blob for blob in gone if blob[0] in NEVER]
        if before <= limit:
            assert not gone
        if [blob for blob in gone if blob[0] in (Kind.THUMB, Kind.HEAT, Kind.GOLDEN)]:
            assert not [key for key in left if put[key][0] in PASSED]
        if store.disk().used > limit:
            assert not [key for key in left if put[key][0] in PASSED]
            assert all(put[key][0] in NEVER or put[key][1] == 0 for key in left)
        assert_oldest_first(gone, [put[key] for key in left])


def assert_oldest_first(gone: Sequence[Blob], left: Sequence[Blob]) -> None:
    ages: dict[Kind, list[int]] = defaultdict(list)
    for kind, age, _ in gone:
        ages[kind].append(age)
    for kind, age, _ in left:
        assert all(age <= other for other in ages[kind])


def test_no_more_goes_than_is_needed(tmp_path: Path) -> None:
    store = Folder(tmp_path, 100)
    fill(store, [(Kind.RING, age, 10) for age in range(1, 7)])
    assert guard(store).relieve() == 1
    assert guard(store).relieve() == 0
    assert len(list(store.keys())) == 5


def test_this_hours_pictures_of_passes_go_only_after_all_older_ones_and_before_any_small_picture_of_a_reject(
    tmp_path: Path,
) -> None:
    store = Folder(tmp_path, 60)
    put = fill(store, [(Kind.RING, 0, 10), (Kind.SAMPLE, 3, 10), (Kind.THUMB, 9, 10), (Kind.THUMB, 0, 10)])
    ring, _, old_thumb, new_thumb = put
    assert guard(store).relieve() == 1
    assert set(store.keys()) == {ring, old_thumb, new_thumb}
    store.others = 10
    assert guard(store).relieve() == 1
    assert set(store.keys()) == {old_thumb, new_thumb}
    store.others = 1000
    assert guard(store).relieve() == 1
    assert set(store.keys()) == {new_thumb}


def test_what_it_drops_is_logged_with_counts_and_when_nothing_is_left_that_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Folder(tmp_path, 100)
    fill(store, [(Kind.RING, 5, 10), (Kind.RING, 5, 10), (Kind.FRAME, 400, 60)])
    assert guard(store).relieve() == 2
    said = [(record.levelname, record.message) for record in caplog.records]
    assert said == [
        ("WARNING", "the disk of the pictures is too full: dropped 2 blobs of ring/2026/11/24/07, 0.0 GB"),
        ("ERROR", "the disk of the pictures is too full, and nothing is left that may be dropped; add room"),
    ]
    assert len(list(store.keys("frame"))) == 1


# What the alerts read


@pytest.mark.parametrize(
    ("used", "alarm"), [(0, None), (850, None), (851, Alarm.DISK_85), (950, Alarm.DISK_85), (951, Alarm.DISK_95)]
)
def test_the_alarms_are_those_of_85_and_95_percent(tmp_path: Path, used: int, alarm: Alarm | None) -> None:
    store = Folder(tmp_path, 1000)
    store.others = used
    found = Guard(store, BlobSettings(), now=lambda: NOON).pressure()
    assert found is not None
    assert found.alarm is alarm
    cause = found.cause()
    assert (cause and cause.kind) is alarm
    if cause:
        assert cause.what.startswith("Too full: the disk of the pictures, ")
        assert cause.detail == {"used": used, "limit": 850}


@given(st.integers(0, 10**13), st.integers(0, 10**13), st.integers(0, 10**13))
def test_the_alarm_grows_with_what_is_used(used: int, limit: int, more: int) -> None:
    loudness = [None, Alarm.DISK_85, Alarm.DISK_95]
    first = Pressure("the disk", used, limit, limit + more)
    second = Pressure("the disk", used + more, limit, limit + more)
    assert loudness.index(first.alarm) <= loudness.index(second.alarm)
    assert bool(first.over) is (first.alarm is not None)


def test_a_real_disk_is_brought_below_its_limit(small_disk: Path) -> None:  # noqa: F811
    store = FileBlobs(small_disk / "blobs")
    put = fill(store, [(Kind.RING, age, 1 << 20) for age in range(1, 25)] + [(Kind.FRAME, 99, 1 << 20)] * 20)
    kept = Guard(store, BlobSettings(), now=lambda: NOON)
    assert (found := kept.pressure()) is not None
    assert found.alarm is Alarm.DISK_85
    assert kept.relieve() > 0
    assert (found := kept.pressure()) is not None
    assert found.alarm is None
    left = set(store.keys())
    assert {key for key, blob in put.items() if blob[0] is Kind.FRAME} <= left
    assert len(left) > 30


def test_every_place_of_the_lines_data_is_seen_once(small_disk: Path, tmp_path: Path) -> None:  # noqa: F811
    one = Settings(data=tmp_path / "not" / "there")
    assert [pressure.place for pressure in fullness(one, None)] == [f"the disk of {one.data}"]
    two = Settings(data=tmp_path, blobs=BlobSettings(url=f"file:{small_disk}"))
    disks = fullness(two, "7")
    assert [pressure.place for pressure in disks] == [f"the disk of {tmp_path}", f"the disk of {small_disk}"]
    assert disks[1].limit == round((48 << 20) * 0.85)
    assert disks[0].limit > disks[1].limit


def test_an_s3_store_is_as_full_as_housekeeping_counted(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, blobs=BlobSettings(url="s3://abc", most_bytes=100))
    assert len(fullness(settings, None)) == 1
    assert [fullness(settings, used)[1].alarm for used in ("100", "101", "112", "118")] == [
        None, Alarm.DISK_85, Alarm.DISK_85, Alarm.DISK_95,
    ]  # fmt: skip
    unbound = Settings(data=tmp_path, blobs=BlobSettings(url="s3://abc"))
    assert len(fullness(unbound, "100")) == 1


# An S3 store, whose size nobody tells


@pytest.fixture
def s3(servers: Services) -> S3Blobs:
    return S3Blobs(s3_of(servers))


def test_a_store_without_a_bound_has_no_pressure_and_loses_nothing(s3: S3Blobs) -> None:
    fill(s3, [(Kind.RING, 5, 1000)])
    assert guard(s3).pressure() is None
    assert guard(s3).relieve() == 0


def test_an_s3_store_is_held_below_its_bound(s3: S3Blobs) -> None:
    blobs = [(Kind.RING, 4, 100), (Kind.RING, 30, 100), (Kind.SAMPLE, 50, 100), (Kind.FRAME, 90, 100),
             (Kind.MODEL, 0, 100), (Kind.DATASET, 0, 100)]  # fmt: skip
    put = list(fill(s3, blobs))
    kept = guard(s3, most=450)
    assert (found := kept.pressure()) is not None
    assert (found.used, found.limit, found.alarm) == (600, 450, Alarm.DISK_95)
    assert kept.relieve() == 2
    assert set(s3.keys()) == set(put[2:])
    assert (found := kept.pressure()) is not None
    assert (found.used, found.alarm) == (400, None)
    assert guard(s3, most=100).relieve() == 1
    assert set(s3.keys()) == set(put[3:])


class Counted(Folder):
    """Tells which prefixes were counted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, 0)
        self.counted: list[str] = []

    def used(self, prefix: str) -> int:
        """The bytes, and a note."""
        self.counted.append(prefix)
        return super().used(prefix)


def test_days_that_have_ended_are_not_counted_each_time(tmp_path: Path) -> None:
    store, clock = Counted(tmp_path), Clock()
    fill(store, [(Kind.RING, 1, 10), (Kind.FRAME, 24 * 9, 20), (Kind.MODEL, 0, 5)])
    meter = Meter(store, now=clock)
    assert meter.total() == 35
    assert store.counted == ["dataset", "model", "ring/2026/11/24", "frame/2026/11/15"]
    store.counted.clear()
    assert meter.total() == 35
    assert store.counted == []
    fill(store, [(Kind.RING, 0, 100)])
    clock.now += Meter.OPEN
    assert meter.total() == 135
    assert store.counted == ["dataset", "model", "ring/2026/11/24"]
    store.counted.clear()
    clock.now += Meter.ENDED
    meter.total()
    assert "frame/2026/11/15" in store.counted
    clock.now -= timedelta(days=2)  # a clock that jumps back makes no count last for ever
    store.counted.clear()
    meter.total()
    assert len(store.counted) == 4


def test_the_guard_knows_no_hour_that_is_none(tmp_path: Path) -> None:
    store = Folder(tmp_path, 10)
    store.put("ring/notes/a", bytes(100))
    assert guard(store).relieve() == 0
    assert hours_before(store, Kind.RING, NOON) == []
