// The right end of the top bar: asks once a second what the line does.
export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".fl-top");
  fill(root, data.slots);
  if (root.flAlive) return root.flAlive;
  let stopped = false, answered = Date.now();
  const silent = data.silent;
  async function turn() {
    if (stopped) return;
    if (!document.hidden) {
      try {
        const answer = await fetch("/api/line.json?only=top", { cache: "no-store" });
        if (answer.ok) { await fill(root, (await answer.json()).slots); answered = Date.now(); }
      } catch { /* told below */ }
      if (Date.now() - answered > 4000) await fill(root, { top: silent });
    } else answered = Date.now();
    setTimeout(turn, 1000);
  }
  setTimeout(turn, 1000);
  root.flAlive = () => { stopped = true; };
  return root.flAlive;
}
