const specs = JSON.parse(document.getElementById("specs").textContent);
const drawn = new WeakSet();

// A chart is drawn when it is first seen: in a closed row or tab it would be drawn with no width.
async function draw(within) {
  for (const place of within.querySelectorAll("[data-chart]")) {
    if (drawn.has(place) || !place.offsetParent) continue;
    drawn.add(place);
    const own = specs[place.dataset.chart];
    const {like, ...spec} = {...specs[own.like], ...own};
    await vegaEmbed(place, spec, {renderer: "svg", actions: false, tooltip: {theme: "custom"}});
    // The element says what its drawing is, and a table holds the numbers: nobody wants to hear every stroke.
    place.querySelector("svg").setAttribute("aria-hidden", "true");
  }
}

function table(part) {
  const grid = part.querySelector("table.numbers");
  const lines = [...grid.tBodies];
  const heads = [...grid.tHead.rows[0].cells];
  const text = part.querySelector("input[type=search]");
  const choices = [...part.querySelectorAll("select")];
  const status = part.querySelector("[role=status]");
  const clear = part.querySelector("button.clear");

  function tell() {
    const seen = lines.filter(line => !line.hidden).length;
    const head = heads.find(cell => cell.ariaSort);
    const order = {ascending: head.dataset.text ? "A to Z" : "lowest first", descending: head.dataset.text ? "Z to A" : "highest first"};
    const many = seen === lines.length ? `${seen} engines` : `${seen} of ${lines.length} engines`;
    status.textContent = `${many}, by ${head.textContent.trim().replaceAll("\u00a0", " ")}, ${order[head.ariaSort]}`;
  }

  function sort(head) {
    const next = {ascending: "descending", descending: "ascending"}[head.ariaSort] ?? head.dataset.first;
    for (const cell of heads) cell.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", next);
    const at = heads.indexOf(head), way = next === "ascending" ? 1 : -1;
    const value = line => {
      if (at === 0) return line.dataset.name;
      const found = line.rows[0].cells[at]?.dataset.value;
      return found ? Number(found) : null;
    };
    const keyed = lines.map(line => [value(line), line]);
    // What was not measured stands last, whichever way.
    keyed.sort(([one], [other]) => one === null || other === null ? (one === null) - (other === null)
      : way * (at === 0 ? one.localeCompare(other) : one - other));
    grid.append(...keyed.map(([, line]) => line));
    tell();
  }

  function filter() {
    const words = (text?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    for (const line of lines) {
      const fits = choices.every(choice => !choice.value || line.dataset[choice.name] === choice.value);
      line.hidden = !(fits && words.every(word => line.dataset.search.includes(word)));
    }
    clear.hidden = !words.length && choices.every(choice => !choice.value);
    tell();
  }

  for (const head of heads) head.querySelector("button").addEventListener("click", () => sort(head));
  for (const choice of choices) choice.addEventListener("change", filter);
  text.addEventListener("input", filter);
  clear.addEventListener("click", () => {
    text.value = "";
    for (const choice of choices) choice.value = "";
    filter();
    text.focus();
  });
  for (const button of grid.querySelectorAll("button[aria-expanded]")) {
    const more = document.getElementById(button.getAttribute("aria-controls"));
    more.hidden = true;
    button.addEventListener("click", () => {
      more.hidden = !more.hidden;
      button.setAttribute("aria-expanded", String(!more.hidden));
      draw(more);
    });
  }
  part.querySelector(".filters").hidden = false;
  tell();
}

function tabs() {
  const list = document.querySelector("[role=tablist]");
  if (!list) return;
  const all = [...list.querySelectorAll("[role=tab]")];
  const panel = tab => document.getElementById(tab.getAttribute("aria-controls"));
  function open(chosen, focus) {
    for (const tab of all) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      panel(tab).hidden = tab !== chosen;
    }
    if (focus) chosen.focus();
    return draw(panel(chosen));
  }
  for (const tab of all) tab.addEventListener("click", () => open(tab));
  list.addEventListener("keydown", event => {
    const at = all.indexOf(document.activeElement), last = all.length - 1;
    const next = {ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    open(all[next], true);
  });
  list.hidden = false;
  open(all.find(tab => tab.getAttribute("aria-selected") === "true"));
}

document.querySelectorAll(".engines").forEach(table);
tabs();
await draw(document);
document.documentElement.dataset.ready = "true";
