// Change a piece of the page into new HTML and touch only what differs, so that nothing flickers or jumps.
// The HTML comes from our own server, which escapes all data in it.
function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function sameKind(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName
    && (one.nodeType !== 1 || one.getAttribute("data-key") === other.getAttribute("data-key"));
}

function morphAttributes(old, wanted) {
  for (const { name, value } of [...wanted.attributes])
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!wanted.hasAttribute(name)) old.removeAttribute(name);
}

function morphChildren(old, wanted) {
  const now = [...old.childNodes], next = [...wanted.childNodes];
  next.forEach((node, place) => {
    const present = now[place];
    if (!present) return old.append(node);
    if (!sameKind(present, node)) return present.replaceWith(node);
    if (node.nodeType !== 1) { if (present.data !== node.data) present.data = node.data; return; }
    morphAttributes(present, node);
    morphChildren(present, node);
  });
  now.slice(next.length).forEach((node) => node.remove());
}

// Pictures are decoded before they are shown: the old one stays until the new one is whole.
async function decoded(content, old) {
  const shown = new Set([...old.querySelectorAll("img")].map((image) => image.src));
  const waits = [...content.querySelectorAll("img:not(.heat)")]
    .map((image) => new URL(image.getAttribute("src"), location.href).href)
    .filter((source) => !shown.has(source))
    .map((source) => { const image = new Image(); image.src = source; return image.decode().catch(() => undefined); });
  if (waits.length) await Promise.race([Promise.all(waits), new Promise((done) => setTimeout(done, 1500))]);
}

// Fill the [data-slot] elements below root; a slot under the pointer that asks for rest is left alone.
async function fill(root, slots) {
  const news = Object.entries(slots).map(([name, html]) => ({ html, slot: root.querySelector(`[data-slot="${name}"]`) }))
    .filter(({ html, slot }) => slot && slot.flHtml !== html && !(slot.hasAttribute("data-rest") && slot.matches(":hover")))
    .map((one) => ({ ...one, content: parse(one.html) }));
  await Promise.all(news.map(({ slot, content }) => decoded(content, slot)));
  news.forEach(({ slot, html, content }) => { morphChildren(slot, content); slot.flHtml = html; });
}

function typing(event) {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
