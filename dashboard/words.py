"""Every text that a person reads on the pages: sentences, not codes (look.md, rule 10)."""

from core.verdicts import InvalidReason, NoVerdictReason

BRAND = "flawline"
LINE, REVIEW, MODELS = "Line", "Review", "Models"
WHO = "Your name, as it is written beside your decisions"

VERDICTS = {"PASS": "PASS", "FAIL": "FAIL", "REVIEW": "REVIEW", "INVALID": "INVALID", "NO_VERDICT": "NO VERDICT"}
STATES = {
    "RUNNING": "RUNNING",
    "DEGRADED": "DEGRADED",
    "NOT_INSPECTING": "NOT INSPECTING",
    "STOPPED": "STOPPED",
}

# What a camera is doing: what happened, what it means for the parts, what to do.
NEVER_STARTED = "It has not sent a picture yet"
ENDED = "The source has ended{detail} ({ago} ago)"
LOST = "The camera does not answer{detail}; it is being tried again"
CAPTURE_SILENT = "The capture side has not reported for {ago}"
NEVER_JUDGED = "{waiting} pictures wait and none was ever judged"
NOT_JUDGED = "No verdict for {ago}; {waiting} pictures wait"
BEHIND = "Verdicts come {ago} late; {waiting} pictures wait"
CANNOT_JUDGE = "The last {count} pictures could not be judged: {reason}"
SOME_UNJUDGED = "{count} of the last {of} pictures could not be judged"
NO_PART_YET = "No part yet"
IDLE = "No part for {ago}"
NO_CAMERAS = "no camera is set up"
STATE_UNKNOWN = "STATE UNKNOWN"
CAMERAS_OUT = "{out} of {of} cameras out"
CAMERAS_IMPAIRED = "{out} of {of} cameras impaired"
PARTS_REJECTED = "Its parts are rejected."
PARTS_LATE = "Parts whose deadline passes are rejected."
NO_PARTS = "No parts are expected from it."
DO_START = "Start the line: flawline up."
DO_CABLE = "Check power and cable at the camera."
DO_CAPTURE = "Check that the ingest process runs: flawline doctor."
DO_WORKER = "Check that an inspection worker runs and a model is active: flawline doctor."
DO_BEHIND = "Add an inspection worker, or slow the line."
DO_PICTURE = "Check light, focus and the lens at the camera."

REASONS: dict[str, str] = {
    InvalidReason.DARK: "too dark",
    InvalidReason.BRIGHT: "too bright",
    InvalidReason.CLIPPED: "over-exposed",
    InvalidReason.BLUR: "out of focus",
    InvalidReason.FROZEN: "the picture stands still",
    InvalidReason.MISALIGNED: "the part is not where it should be",
    InvalidReason.OCCLUDED: "something covers the part",
    InvalidReason.NO_PART: "no part in the picture",
    InvalidReason.WRONG_PRODUCT: "another product",
    InvalidReason.LIGHT_LOW: "the light is weak",
    InvalidReason.DECODE_ERROR: "the picture is damaged",
    NoVerdictReason.LATE: "judged after its deadline",
    NoVerdictReason.WORKER_DOWN: "no inspection worker",
    NoVerdictReason.BROKER_DOWN: "the frame log was away",
    NoVerdictReason.CAMERA_LOST: "the camera was lost",
    NoVerdictReason.TRIGGER_ERROR: "a trigger without a picture",
    NoVerdictReason.VIEW_MISSING: "a view is missing",
    NoVerdictReason.RECIPE_MISMATCH: "the recipe is for another product",
    NoVerdictReason.NOT_QUALIFIED: "no qualified model is active",
    NoVerdictReason.POWER_CYCLE: "the power was cut",
    NoVerdictReason.INTERNAL_ERROR: "the inspection failed",
}


def reason(code: str) -> str:
    """A reason in words; an unknown code stays as it is, none is said to be unknown."""
    return REASONS.get(code, code or "reason unknown")


# Line page
PARTS_SHIFT, PARTS_DAY = "Parts this shift", "Parts today"
BALANCED = "= captured = judged"
MISSED = "= captured + {count} missed"
UNDER_WAY = "captured · {count} under way"
NOT_BALANCED = "of {triggered} triggered"
PASS, FAIL, REVIEW_COUNT, SYSTEM = "Pass", "Fail", "Review", "Invalid · no verdict"
OF_PARTS = "{share} of parts"
LAST_HOUR = "{count} in the last hour"
WAITING = "{count} waiting · oldest {age}"
NONE_WAITING = "none waits"
NOT_DEFECTS = "not defects"
FAIL_RATE = "Fail rate"
IN_TIME = "Judged in time"
P99 = "p99 {p99} of {allowed}"
P99_ALONE = "p99 {p99}"
BOOKS, UNACCOUNTED = "Books", "parts unaccounted for"
BOOKS_HINT = "press for each camera's account"
CAMERA, TRIGGERED, CAPTURED, RESIDUAL = "Camera", "Triggered", "Captured", "Residual"
INVALID, NO_VERDICT = "Invalid", "No verdict"
ROUTED_ACCEPTED, ROUTED_REJECTED = "Accepted", "Rejected"
ROUTED_HELD, ROUTED_UNCONFIRMED = "Held", "Unconfirmed"
UNDER_WAY_NOW, LATE_ONES = "Under way", "Late"
ALL_ACCOUNTED = "Every part is accounted for, as far as its time to settle is over."
MINUTE_LACKS = "{time}: {count} of {of} parts have no verdict"
NEVER_CAPTURED = "; {count} never had a picture"
GAPS_OF = "missing numbers of the session since {began}: {ranges}"
NO_ROUTE = "{count} parts went where no gate tells"
NOBODY_WATCHES = "Nobody watches the line"
NOBODY_WATCHES_DO = "What is listed here may not be all. Start it: flawline up, or flawline worker watch."
ALIKE = "{what}, and more alike: {count} in all ({names})"
SEEN_BY, SEEN_AND_SAID = "seen by {who}", "seen by {who}: {note}"
ACKNOWLEDGE = "Acknowledge"
ACKNOWLEDGE_AS = "It stays open until its cause is gone. {who} is written beside it, here and in the audit log."
MORE_ALERTS = "{count} more"
MORE_ALERTS_DO = "flawline alerts list shows all of them."
DUPLICATES = "Gaps · duplicates"
ALL_NUMBERS = "none missing, none twice"
SOME_NUMBERS = "missing · counted twice"
LAST_PARTS = "last {count} parts"
RESIDUAL_OF = "residual {count}"
LAST_REJECTS = "Last rejects"
HOLD_HINT = "click holds the picture, the line goes on"
NO_REJECTS = "No part was rejected in this time."
ATTENTION = "Needs attention"
ALL_QUIET = "Nothing. The line needs no one."
HELD = "Held"
LET_GO = "let go"
OLD_PICTURE = "last part {ago} ago"
LATE = "late"
NO_PICTURE = "picture not kept"
EMPTY_LINE = "No camera is set up yet"
EMPTY_LINE_DO = (
    "A line file names the cameras. “flawline demo” runs a simulated line; "
    "“flawline onboard PRODUCT FOLDER” learns your own product from pictures of good parts."
)
SERVER_SILENT = "The dashboard's server does not answer, so nothing on this page is live. The line itself may well run."
WAIT_FOR_REVIEW = "{count} parts wait for review"
ONE_WAITS = "1 part waits for review"
OLDEST_WAITS = "The oldest waits since {age}."

# Review page
GOOD, UNSURE, BAD_IMAGE, UNDO = "Good", "Unsure", "Bad image", "Undo"
GOOD_SUB, UNSURE_SUB, BAD_IMAGE_SUB, DEFECT_SUB = "false reject", "to the line lead", "not a part verdict", "defect"
PASSED_BEFORE = "Passed just before, same camera"
CLOSEST_GOOD = "Closest good parts, at the same place"
CLOSEST_GOOD_WHOLE = "Closest good parts"
THIS_PART, GOLDEN = "this part", "golden"
LARGER = "larger"
GOLDEN_HINT = "distance of its features to this part's, in spreads of good parts; the lower, the more alike"
UNDECIDED = "undecided"
NOTHING_TO_UNDO = "nothing to undo"
LAST_CALL = "last: {call}, {ago} ago"
SEVERITY = "Severity"
SEVERITIES = {"CRITICAL": ("Q", "critical"), "MAJOR": ("W", "major"), "MINOR": ("E", "minor")}
CALLS = {"DEFECT": "Defect", "FALSE_REJECT": "Good", "GOOD": "Good", "UNSURE": "Unsure", "BAD_IMAGE": "Bad image"}
ALL = "All"
REVIEW_EMPTY = "No part waits for a decision"
REVIEW_EMPTY_DO = (
    "Parts that the machine fails or cannot decide appear here by themselves. "
    "Invalid pictures are a filter of their own, above."
)
ALL_TAKEN = "Other reviewers hold every waiting part"
ALL_TAKEN_DO = "A part that is not decided comes back by itself when its reservation ends."
REVIEW_LIMIT, FAIL_LIMIT = "review from {t_lo}", "fail from {t_hi}"
NO_FAIL_LIMIT = "no fail limit proved"
NO_SCORE = "not scored"
REGIONS_ONE, REGIONS_MANY, NO_REGION = "1 region", "{count} regions", "no region"
PEAK, MEAN = "peak {peak}", "mean {mean}"
PROGRESS = "{place} of {total}"
PER_PART = "{seconds} s a part"
REFUSED = "Not stored: {problem}"

# Models page
MODELS_EMPTY = "No model yet"
MODELS_EMPTY_DO = "flawline onboard PRODUCT FOLDER learns one from pictures of good parts."
PRODUCT, VERSION = "Product", "Version"
ROLLED_BACK = "rolled back from {version}"
ACTIVATE, ROLL_BACK = "Make active", "Roll back to {version}"
ACTIVATE_SURE = "Yes, judge by this version"
ACTIVATE_NOTE = "Why (goes into the audit log)"
ACTIVATE_ASK = "This changes the line: from the next batch on, {product} is judged by {version} instead of {active}."
ACTIVATE_FIRST = "This changes the line: from the next batch on, {product} is judged by {version}."
ACTIVATED = "{version} is active for {product}."
NOTE_NEEDED = "Say why, in a few words."
HISTOGRAM = "Scores of good parts held out from training"
CARD = "Model card"
IN_WORDS = "The card in words"
TAKE_CARD = "Take the card away as JSON"
NO_CARD = "This version came into the books before there were model cards; beside it stands what its manifest tells."
NO_CARD_DO = "“flawline models cards” writes the card of every model that has none, and changes nothing else."
CATCHES = "What it catches"
NOT_TRIED = "No made-up flaws were tried on this model, so nothing is known about how small a flaw it catches."
CONTRAST = "contrast {n:g} grey levels"
RUNG = "{held} of {tried} flaws of {size} px did not pass"
CELL_MEANS = (
    "Size in pixels of the camera's picture, and the share of flaws of that size that did not pass. "
    "The ring is the smallest size that is caught, it and every larger one."
)
MADE_UP = "Made-up flaws say what is certainly too small to be caught; real defects need a challenge of their own."
LEARNT = "How it learnt"
ITERATION, LOSS = "iteration", "loss"
STAGE_BEGINS = "{stage} begins"
LOSS_MEANS = (
    "Lower is better, each network against itself. A curve that still falls at its end would gain by more time."
)
NO_CURVES = "No curves were kept: this model was trained before they were, or imported."
LOOKS_AT = "What it looks at"
FIXTURES = {
    "none": "the whole picture", "stretch": "the whole picture, stretched", "roi": "a fixed rectangle",
    "part": "a rectangle around the part", "axis": "the part, turned to its axis",
    "template": "the part, laid on the golden ones", "flat field": "light evened out",
}  # fmt: skip
FIXTURE_TRIED = (
    "It looks at {name}. Small flaws were pasted on good parts; the bars say how often one stood out above all of a "
    "good part. A fixture that does more has to show clearly more."
)
FIXTURE_ASKED = "It looks at {name}, as it was asked for: nothing was left to choose, or there were too few pictures."
FIXTURE_PICTURE = "Above the part as photographed, with what is looked at; below what the network sees."
NO_FIXTURE_PICTURE = "No picture of the fixture was kept with this model."
RUNS = "What runs it"
RUNS_ON = "Limits and scores hold for {runtime}; on anything else this model judges nothing."
PARITY_UNKNOWN = "How far that is from PyTorch in float32 was not measured for this model."
NO_CALIBRATION = "This model keeps no calibration scores."
STATES_MODEL = {
    "DRAFT": "draft",
    "TRAINED": "trained",
    "VALIDATED": "validated",
    "SHADOW": "in shadow",
    "CANARY": "canary",
    "ACTIVE": "active",
    "RETIRED": "retired",
    "REJECTED": "rejected",
    "ROLLED_BACK": "rolled back",
}

# When the database cannot be read
NOT_MIGRATED = "The database has no tables yet"
NOT_MIGRATED_DO = "Run “flawline db upgrade”, or “flawline demo”, then reload this page."
BUSY = "The database does not answer now"
BUSY_DO = "Verdicts go on without this page. It tries again by itself; what was decided is kept."

# In the components' own HTML files, as $name
LABELS = {
    "heat": "heat",
    "heat_note": "heat is a visualisation, not a defect class",
    "shift": "this shift",
    "today": "today",
    "acknowledge": ACKNOWLEDGE,
    "acknowledge_note": "What you do about it",
    "acknowledge_silent": "No answer yet. What you wrote is kept; press again.",
    "leave": "Not now",
    "previous": "previous",
    "next": "next",
    "yours_for": "yours for",
}
