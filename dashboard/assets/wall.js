// The live wall: polls our own route, swaps only what changed, holds a picture on a press, shows heat on request.
const PATIENCE = 4000; // ms without an answer after which nothing on the page may look live
const GIVE_UP = 6000;  // ms without an answer after which a message may be sent again

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".fl-wall");
  if (!root.flWall) root.flWall = wall(root);
  root.flWall.send = (message) => setTriggerValue("act", message);
  root.flWall.take(data);
  return root.flWall.stop;
}

// The question about an alert: whatever runs or redraws the page, it stays with what is typed until it is answered.
function question(root, send) {
  const box = root.querySelector("dialog.ask"), form = box.querySelector("form"), refused = box.querySelector(".ask-refused");
  const sure = form.querySelector("[type=submit]"), note = form.elements.note;
  const state = { alerts: "", serial: 0, waits: null };

  function ask(button) {
    if (state.alerts !== button.dataset.acknowledge) note.value = "";
    state.alerts = button.dataset.acknowledge;
    box.querySelector(".ask-alert").replaceChildren(button.closest(".alert").querySelector(".grow").cloneNode(true));
    fresh("");
    box.showModal();
  }

  function fresh(why) {   // the next press is a message of its own
    state.serial = Math.max(state.serial + 1, Date.now());
    rest(why);
  }

  function rest(why) {
    clearTimeout(state.waits);
    sure.disabled = false;
    refused.textContent = why;
  }

  function submit(event) {
    event.preventDefault();
    if (sure.disabled) return;
    sure.disabled = true;
    refused.textContent = "";
    state.waits = setTimeout(() => rest(refused.dataset.silent), GIVE_UP);   // the same message, should it come twice
    send({ alerts: state.alerts.split(",").map(Number), note: note.value, serial: state.serial });
  }

  function take({ as_who, answer }) {
    box.querySelector(".ask-who").textContent = as_who;
    if (answer?.serial !== state.serial) return;
    fresh(answer.refused);
    if (answer.refused) return;
    note.value = "";
    box.close();
  }

  form.addEventListener("submit", submit);
  box.querySelector("[data-leave]").addEventListener("click", () => box.close());
  return { ask, take, open: () => box.open };
}

function wall(root) {
  const own = { send: () => undefined };
  const asked = question(root, (message) => own.send(message));
  const held = root.querySelector(".held");
  const state = { stopped: false, today: false, holding: null, answered: Date.now(), tiles: null, columns: 1 };

  async function show(page) {
    root.classList.toggle("compact", page.compact);
    root.classList.toggle("one", page.cameras === 1);
    const tiles = root.querySelector(".tiles");
    tiles.className = `tiles n${page.cameras}`;
    state.columns = page.columns;
    lay();
    const names = Object.keys(page.slots).filter((name) => name.startsWith("tile:"));
    if (names.join() !== state.tiles) {
      state.tiles = names.join();
      tiles.replaceChildren(...names.map((name) => Object.assign(document.createElement("div"), { className: "cell" })));
      [...tiles.children].forEach((cell, place) => cell.setAttribute("data-slot", names[place]));
    }
    root.classList.toggle("empty", !page.cameras);
    await fill(root, page.slots);
  }

  function lay() {   // a held picture takes the right half; all tiles stay in sight beside it
    const beside = state.columns > 3 && root.classList.contains("compact") ? 3 : Math.ceil(state.columns / 2);
    root.classList.toggle("holding", !held.hidden);
    root.querySelector(".tiles").style.setProperty("--columns", held.hidden ? state.columns : beside);
  }

  async function poll() {
    if (state.stopped) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(`/api/line.json?period=${state.today ? "today" : "shift"}`, { cache: "no-store" });
        if (answer.ok) { await show(await answer.json()); state.answered = Date.now(); }
      } catch { /* told below */ }
      root.classList.toggle("silent-server", Date.now() - state.answered > PATIENCE);
    } else state.answered = Date.now();
    setTimeout(poll, 500);
  }

  async function hold(url) {
    if (state.holding === url) return release();
    state.holding = url;
    const answer = await fetch(url).catch(() => null);
    if (!answer || !answer.ok || state.holding !== url) return;
    await fill(root, { held: (await answer.json()).html });
    held.hidden = false;
    lay();
  }

  function release() { state.holding = null; held.hidden = true; lay(); }
  function heat() {
    const on = root.classList.toggle("heat-on");
    root.querySelectorAll("[data-heat]").forEach((button) => { button.classList.toggle("on", on); button.setAttribute("aria-pressed", on); });
    root.querySelectorAll(".heat").forEach((image) => { image.loading = "eager"; });
  }

  function press(event) {
    const target = event.target.closest("button");
    if (!target) return;
    if (target.dataset.hold) hold(target.dataset.hold);
    if ("release" in target.dataset) release();
    if ("heat" in target.dataset) heat();
    if (target.dataset.acknowledge) asked.ask(target);
    if (target.dataset.period) {
      state.today = target.dataset.period === "today";
      root.querySelectorAll("[data-period]").forEach((button) => button.classList.toggle("on", (button.dataset.period === "today") === state.today));
    }
    target.blur();
  }

  function key(event) {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || typing(event) || asked.open()) return;
    if (event.key === "Escape") release();
    else if (event.key === " " || event.key.toLowerCase() === "o") { event.preventDefault(); heat(); }
  }

  root.addEventListener("click", press);
  document.addEventListener("keydown", key);
  setTimeout(poll, 300);
  return Object.assign(own, {
    take(data) { asked.take(data); return show(data); },
    stop() { state.stopped = true; document.removeEventListener("keydown", key); root.removeEventListener("click", press); delete root.flWall; },
  });
}
