// A sign-in link carries the token behind "#": that part of an address never leaves the browser and reaches no log.
"use strict";
function signInByLink() {
  const carried = decodeURIComponent(location.hash.slice(1));
  if (!/^kyo_[A-Za-z0-9_-]{43}$/.test(carried)) return;
  history.replaceState(null, "", location.pathname); // nothing of it stays in the address or the history
  const form = document.getElementById("sign-in");
  form.elements.token.value = carried;
  form.requestSubmit();
}
addEventListener("hashchange", signInByLink); // the link may be opened while this page is open
signInByLink();
