const words = document.getElementById("words"), result = document.getElementById("result");
const shown = document.getElementById("shown"), rows = [...document.querySelectorAll("[data-result]")];
function find() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const fits = (!result.value || row.dataset.result === result.value) && wanted.every(w => text.includes(w));
    row.hidden = !fits;
    count += fits && row.tagName === "DETAILS";
  }
  shown.textContent = `${count} shown`;
}
document.querySelector(".find").hidden = false;
words.addEventListener("input", find);
result.addEventListener("change", find);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => { d.open = true; }));
if (location.hash) { const it = document.querySelector(location.hash); if (it) it.open = true; }
