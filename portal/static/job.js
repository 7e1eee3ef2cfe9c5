// Keeps a job's page alive: its state, its log, and at the end its result and charge. Without it the page works by reloading.
"use strict";
const job = document.getElementById("job");
const log = document.getElementById("log");
const MOST_CHARACTERS = 1000000;
const SETTLE_TRIES = 20;

// The server has taken terminal sequences out of the first part; the same for what comes live.
const clean = (text) =>
  text.replace(/\r\n/g, "\n").replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g, "")
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "");

function append(text) {
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(clean(text));
  if (log.textContent.length > MOST_CHARACTERS) log.textContent = log.textContent.slice(-MOST_CHARACTERS / 2);
  document.getElementById("log-empty").hidden = true;
  if (follows) log.scrollTop = log.scrollHeight;
}

function followLog() {
  if (!log || log.dataset.ended === "true") return;
  const live = document.getElementById("live");
  let offset = log.dataset.offset;
  const open = () => {
    const source = new EventSource(`${job.dataset.base}/log?offset=${offset}`);
    live.hidden = false;
    source.addEventListener("log", (event) => {
      const told = JSON.parse(event.data);
      offset = told.next_offset;
      append(told.text);
    });
    source.addEventListener("end", () => { source.close(); live.hidden = true; });
    source.onerror = () => { source.close(); live.hidden = true; setTimeout(open, 3000); };
  };
  open();
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of job.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    if (next && next.outerHTML !== part.outerHTML) part.replaceWith(next);
  }
  const now = fresh.getElementById("job");
  if (now) Object.assign(job.dataset, { state: now.dataset.state, ended: now.dataset.ended, settled: now.dataset.settled });
}

async function untilSettled() {
  for (let tries = 0; tries < SETTLE_TRIES && job.dataset.settled !== "true"; tries += 1) {
    await new Promise((wake) => setTimeout(wake, 1500));
    await refresh();
  }
}

function followState() {
  if (job.dataset.ended === "true") { untilSettled(); return; }
  const source = new EventSource(`${job.dataset.base}/state`);
  source.addEventListener("state", () => refresh());
  source.addEventListener("end", async () => { source.close(); await refresh(); await untilSettled(); });
  source.onerror = () => { source.close(); setTimeout(followState, 3000); };
}

followState();
followLog();
