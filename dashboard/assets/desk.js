// The review desk: keys and presses become one message each, for the part that was seen and no other.
const SETTLE = 250;     // ms after a new part appears in which no key decides: nobody can have seen it
const RENEW = 45000;    // ms between renewals of the lease
const LOOK = 3000;      // ms between looks at an empty queue
const GIVE_UP = 5000;   // ms after which a message without an answer may be sent again

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".fl-desk");
  if (!root.flDesk) root.flDesk = desk(root);
  root.flDesk.send = (message) => setTriggerValue("act", message);
  root.flDesk.take(data);
  return root.flDesk.stop;
}

function desk(root) {
  const state = { item: null, turn: -1, shownAt: 0, sentAt: 0, pending: false, ends: 0, serial: 0 };
  const own = { take, stop, send: () => undefined };

  async function take(data) {
    if (data.turn === state.turn) return;
    state.turn = data.turn;
    root.classList.toggle("vacant", data.item === null);
    await fill(root, data.slots);
    if (data.item !== state.item) {
      state.item = data.item;
      state.shownAt = performance.now();
      root.setAttribute("data-severity", "MAJOR");
    }
    state.ends = performance.now() + data.lease * 1000;
    state.pending = false;
    showBeside();
    root.querySelector(".reel-frame.on")?.scrollIntoView({ inline: "nearest", block: "nearest" });
    for (const url of data.prefetch) new Image().src = url;
  }

  function showBeside() {
    const button = root.querySelector("[data-beside]"), on = root.classList.contains("beside-on");
    button?.classList.toggle("on", on);
    button?.setAttribute("aria-pressed", on);
  }

  function say(message) {
    const now = performance.now();
    if (state.pending && now - state.sentAt < GIVE_UP) return;
    Object.assign(state, { pending: true, sentAt: now });
    own.send({ ...message, serial: ++state.serial });
  }

  function press(button) {
    const { act, call, number, value, item, severity } = button.dataset;
    if ("heat" in button.dataset) {
      const on = root.classList.toggle("heat-on");
      button.classList.toggle("on", on);
      button.setAttribute("aria-pressed", on);
      root.querySelectorAll(".heat").forEach((image) => { image.loading = "eager"; });
    } else if ("beside" in button.dataset) {
      root.classList.toggle("beside-on");
      showBeside();
    } else if (severity && button.matches("[data-severity]") && !act) root.setAttribute("data-severity", severity);
    else if (act === "call") {
      const looked = performance.now() - state.shownAt;
      if (!state.item || looked < SETTLE) return;
      say({ kind: "call", call, number: number ? Number(number) : null, severity: root.getAttribute("data-severity"),
            item: state.item, seconds: looked / 1000 });
    } else if (act) say({ kind: act, value: value ?? "", item: item ?? "" });
  }

  function click(event) {
    const button = event.target.closest("button");
    if (!button || !root.contains(button)) return;
    if (event.detail !== 0) button.blur();      // a pressed button keeps no focus that Space could press again
    press(button);
  }

  function key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || typing(event)) return;
    const name = event.key === " " ? "o" : event.key.toLowerCase();
    if (event.key === "Enter" || event.key === " ") {
      const focused = root.getRootNode().activeElement;
      if (focused?.matches?.("[data-act=call], [data-act=undo]")) { event.preventDefault(); focused.blur(); if (event.key === "Enter") return; }
    }
    const button = root.querySelector(`[data-keycap="${CSS.escape(name)}"]`);
    if (!button || root.classList.contains("vacant")) return;
    event.preventDefault();
    if (!event.repeat) press(button);
  }

  const clock = setInterval(() => {
    const left = Math.max(0, Math.round((state.ends - performance.now()) / 1000));
    const lease = root.querySelector(".lease");
    lease.textContent = state.item ? `${lease.dataset.words} ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : "";
    const silent = performance.now() - Math.max(state.sentAt, state.shownAt);
    if (!document.hidden && !state.pending && silent > (state.item ? RENEW : LOOK)) say({ kind: "look" });
  }, 1000);

  function stop() {
    clearInterval(clock);
    document.removeEventListener("keydown", key, true);
    root.removeEventListener("click", click);
    delete root.flDesk;
  }

  document.addEventListener("keydown", key, true);
  root.addEventListener("click", click);
  return own;
}
