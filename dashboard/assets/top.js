// The right end of the top bar: asks once a second what the line does.
export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".fl-top");
  fill(root, data.slots);
  if (root.flAlive) return root.flAlive;
  let stopped = false;
  async function turn() {
    if (stopped) return;
    if (!document.hidden) {
      try {
        const answer = await fetch("/api/line.json?only=top", { cache: "no-store" });
        if (answer.ok) await fill(root, (await answer.json()).slots);
      } catch { /* the wall says so; here the clock stands still */ }
    }
    setTimeout(turn, 1000);
  }
  setTimeout(turn, 1000);
  root.flAlive = () => { stopped = true; };
  return root.flAlive;
}
